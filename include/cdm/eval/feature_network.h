// SPDX-License-Identifier: MIT
// A network that the user gives as a TorchScript file, from images to features.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace cdm {

/// What happens to images before the network sees them. Results depend on it: name it beside them.
enum class Resize {
  network,            // nothing: the network resizes by itself, as the Inception file does
  bilinear,           // without antialiasing
  bicubic_antialias,  // as Pillow does, rounded to 8 bits
};

/// network, bilinear or bicubic_antialias. Throws UserError for another name.
Resize parse_resize(const std::string& name);

/// Follows the convention of inception-2015-12-05.pt (StyleGAN 2 ADA, clean-fid): images uint8
/// [B, 3, H, W] in 0..255 go in, `forward(images, return_features=True)` gives float [B, D]. Where
/// forward has no argument of that name it is called with the images alone.
///
/// Loading runs the program in the file. TorchScript can write files: load what you trust.
class FeatureNetwork {
 public:
  /// Loads the file to `device` and tries it on two images of image_size x image_size pixels (after
  /// which D is known). `resize_to` is the side in pixels for the modes that resize. Throws
  /// UserError, in one line that names the file, when it is missing, a directory or not
  /// TorchScript, when forward is missing or fails on such images, or as features() does.
  FeatureNetwork(const std::filesystem::path& file, at::Device device, std::int64_t image_size,
                 Resize resize = Resize::network, std::int64_t resize_to = 299);
  ~FeatureNetwork();
  FeatureNetwork(const FeatureNetwork&) = delete;
  FeatureNetwork& operator=(const FeatureNetwork&) = delete;

  /// Images uint8 [B, 1 or 3, H, W] of any device -> features [B, D] on the network's device, of
  /// the network's floating type. Grey images are repeated to 3 channels. Throws UserError, naming
  /// the file, when forward fails, or gives anything but finite floating [B, D].
  at::Tensor features(const at::Tensor& images) const;

  std::int64_t dimensions() const;    // D
  const std::string& sha256() const;  // of the file, 64 hexadecimal digits
  std::string resize_text() const;    // "network", "bilinear to 299 x 299", ...

  /// "FID" when the file is the Inception network of is_inception_2015; for every other network
  /// "FD (NAME)", NAME being the file's name without its ending.
  std::string frechet_name() const;
  /// Likewise "KID" or "KD (NAME)".
  std::string kernel_name() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a file of this SHA-256 is inception-2015-12-05.pt, the TorchScript translation of the
/// network that FID is defined by. Only the digest counts: a file of that name may hold anything.
bool is_inception_2015(const std::string& sha256);

}  // namespace cdm
