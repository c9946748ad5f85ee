// SPDX-License-Identifier: MIT
// A network from images to feature vectors, which the user gives as a TorchScript file.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace cdm {

/// How images are resized before the network. Results depend on it, so report it with them.
enum class Resize {
  network,            // not at all: the network resizes by itself, as the Inception file does
  bilinear,           // without antialiasing, rounded to 8 bits
  bicubic_antialias,  // with antialiasing, as Pillow does, rounded to 8 bits
};

/// The enumerator with that name. Throws UserError when there is none.
Resize parse_resize(const std::string& name);

/// The file must follow the convention of inception-2015-12-05.pt (StyleGAN 2 ADA, clean-fid):
/// `forward(images, return_features=True)` takes images uint8 [B, 3, H, W] in 0..255 and returns
/// features [B, D] of a floating type. If forward has no argument return_features, it is called
/// with the images alone.
///
/// Loading executes the program in the file, which can write files: only load files that you trust.
class FeatureNetwork {
 public:
  /// Loads the file to `device` and runs it on two test images of image_size x image_size pixels,
  /// which determines D. The modes that resize make images of resize_to x resize_to pixels. Throws
  /// UserError, naming the file, when it is missing, a directory or not TorchScript, when it has no
  /// forward, and as features() does.
  FeatureNetwork(const std::filesystem::path& file, at::Device device, std::int64_t image_size,
                 Resize resize = Resize::network, std::int64_t resize_to = 299);
  ~FeatureNetwork();
  FeatureNetwork(const FeatureNetwork&) = delete;
  FeatureNetwork& operator=(const FeatureNetwork&) = delete;

  /// Images uint8 [B, 1 or 3, H, W], on any device -> features [B, D] on the network's device, in
  /// the floating type that the network returns. Grey images are repeated to 3 channels. Throws
  /// UserError, naming the file, when forward fails or does not return finite numbers of a floating
  /// type and shape [B, D].
  at::Tensor features(const at::Tensor& images) const;

  std::int64_t dimensions() const;    // D
  const std::string& sha256() const;  // of the file, 64 hexadecimal digits
  std::string resize_text() const;    // "network", "bilinear to 299 x 299", ...

  /// The name of the Frechet distance in these features: "FID" if is_inception_2015(sha256()),
  /// otherwise "FD (NAME)", where NAME is the file's name without its extension.
  std::string frechet_name() const;
  /// The name of the kernel distance: "KID" or "KD (NAME)", likewise.
  std::string kernel_name() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a file with this SHA-256 (64 hexadecimal digits) is inception-2015-12-05.pt, the
/// TorchScript translation of the network that defines FID. The file's name does not matter.
bool is_inception_2015(const std::string& sha256);

}  // namespace cdm
