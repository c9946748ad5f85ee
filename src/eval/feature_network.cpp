// SPDX-License-Identifier: MIT
#include "cdm/eval/feature_network.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <c10/core/GradMode.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <torch/csrc/jit/serialization/import.h>

#include <array>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr const char* kReturnFeatures = "return_features";

/// One sentence of an error message that says what went wrong. In a traceback of the TorchScript
/// interpreter it is in the last line, otherwise in the first.
std::string reason(const std::exception& error) {
  const auto* const from_c10 = dynamic_cast<const c10::Error*>(&error);
  std::istringstream text(from_c10 != nullptr ? from_c10->what_without_backtrace() : error.what());
  std::string chosen, line;
  while (std::getline(text, line)) {
    if (chosen.empty() || line.starts_with("RuntimeError: ")) chosen = line;
  }
  return printable(chosen.substr(0, chosen.find(". ")));
}

/// SHA-256 in 64 hexadecimal digits, as the program sha256sum prints it.
std::string sha256_of(std::string_view bytes) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest = {};
  sha256_digest(&context, digest.size(), digest.data());
  std::string text(BASE16_ENCODE_LENGTH(SHA256_DIGEST_SIZE), ' ');
  base16_encode_update(text.data(), digest.size(), digest.data());
  return text;
}

/// Two fixed images [2, 3, size, size] whose pixels differ, so that a network which divides by
/// their standard deviation does not divide by zero.
at::Tensor test_images(std::int64_t size) {
  return at::arange(2 * 3 * size * size, at::kLong)
      .mul(89)
      .remainder(256)
      .to(at::kByte)
      .view({2, 3, size, size});
}

}  // namespace

Resize parse_resize(const std::string& name) {
  if (name == "network") return Resize::network;
  if (name == "bilinear") return Resize::bilinear;
  if (name == "bicubic_antialias") return Resize::bicubic_antialias;
  throw UserError(
      concat("resize = ", name, ": must be one of network, bilinear, bicubic_antialias"));
}

bool is_inception_2015(const std::string& sha256) {
  return sha256 == "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4";
}

class FeatureNetwork::Impl {
 public:
  Impl(const std::filesystem::path& file, at::Device device, std::int64_t image_size, Resize resize,
       std::int64_t resize_to)
      : file_(file), device_(device), resize_(resize), resize_to_(resize_to) {
    TORCH_CHECK(image_size >= 1 && resize_to >= 1, "images of ", image_size, " pixels to ",
                resize_to);
    std::string bytes = read_file(file);
    sha256_ = sha256_of(bytes);
    load(std::move(bytes));
    dimensions_ = features(test_images(image_size)).size(1);
  }

  at::Tensor features(const at::Tensor& images) {
    TORCH_CHECK(images.dim() == 4 && images.scalar_type() == at::kByte &&
                    (images.size(1) == 1 || images.size(1) == 3),
                "images are uint8 [B, 1 or 3, H, W], not ", images.scalar_type(), " ",
                images.sizes());
    const c10::NoGradGuard no_grad;
    const std::int64_t count = images.size(0);
    const at::Tensor pixels = resized(images.to(device_)).expand({count, 3, -1, -1}).contiguous();
    const at::Tensor found = forward(pixels);
    if (!at::isFloatingType(found.scalar_type()) || found.dim() != 2 || found.size(0) != count ||
        found.size(1) == 0 || (dimensions_ != 0 && found.size(1) != dimensions_)) {
      const std::string D = dimensions_ == 0 ? "D" : std::to_string(dimensions_);
      throw UserError(concat(file_.string(), ": gives ", found.scalar_type(), " ", found.sizes(),
                             " for ", images_text(pixels), "; features [", count, ", ", D,
                             "] of a floating type are needed"));
    }
    if (!found.isfinite().all().item<bool>()) {
      throw UserError(concat(file_.string(), ": gives features that are NaN or infinite for ",
                             images_text(pixels)));
    }
    return found;
  }

  std::string resize_text() const {
    const std::string size = concat(" to ", resize_to_, " x ", resize_to_);
    if (resize_ == Resize::bilinear) return "bilinear" + size;
    if (resize_ == Resize::bicubic_antialias) return "bicubic_antialias" + size;
    return "network";
  }

  std::string name(const char* of_inception, const char* of_others) const {
    if (is_inception_2015(sha256_)) return of_inception;
    return concat(of_others, " (", printable(file_.stem().string()), ")");
  }

  std::int64_t dimensions() const { return dimensions_; }
  const std::string& sha256() const { return sha256_; }

 private:
  void load(std::string bytes) {
    try {
      std::istringstream stream(std::move(bytes));
      module_ = torch::jit::load(stream, device_);
      module_.eval();
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const std::exception& error) {
      throw UserError(concat(file_.string(), ": is not a whole TorchScript file: ", reason(error)));
    }
    const std::optional<torch::jit::Method> found = module_.find_method("forward");
    if (!found) throw UserError(concat(file_.string(), ": has no method 'forward'"));
    returns_features_on_demand_ =
        found->function().getSchema().argumentIndexWithName(kReturnFeatures).has_value();
  }

  at::Tensor resized(const at::Tensor& images) const {
    if (resize_ == Resize::network) return images;
    const std::vector<std::int64_t> size = {resize_to_, resize_to_};
    const at::Tensor pixels = images.to(at::kFloat);
    return (resize_ == Resize::bilinear
                ? at::upsample_bilinear2d(pixels, size, /*align_corners=*/false)
                : at::_upsample_bicubic2d_aa(pixels, size, /*align_corners=*/false))
        .round()
        .clamp(0, 255)
        .to(at::kByte);
  }

  at::Tensor forward(const at::Tensor& pixels) {
    c10::IValue output;
    try {
      torch::jit::Kwargs options;
      if (returns_features_on_demand_) options[kReturnFeatures] = true;
      output = module_.get_method("forward")({pixels}, options);
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const std::exception& error) {
      throw UserError(
          concat(file_.string(), ": fails on ", images_text(pixels), ": ", reason(error)));
    }
    if (!output.isTensor()) {
      throw UserError(concat(file_.string(), ": gives a ", output.tagKind(), " for ",
                             images_text(pixels), "; features [", pixels.size(0),
                             ", D] are needed"));
    }
    return output.toTensor();
  }

  static std::string images_text(const at::Tensor& pixels) {
    return concat(pixels.size(0), " images of ", pixels.size(2), " x ", pixels.size(3), " pixels");
  }

  std::filesystem::path file_;
  at::Device device_;
  Resize resize_;
  std::int64_t resize_to_;
  std::string sha256_;
  std::int64_t dimensions_ = 0;
  torch::jit::Module module_;
  bool returns_features_on_demand_ = false;
};

FeatureNetwork::FeatureNetwork(const std::filesystem::path& file, at::Device device,
                               std::int64_t image_size, Resize resize, std::int64_t resize_to)
    : impl_(std::make_unique<Impl>(file, device, image_size, resize, resize_to)) {}
FeatureNetwork::~FeatureNetwork() = default;

at::Tensor FeatureNetwork::features(const at::Tensor& images) const {
  return impl_->features(images);
}
std::int64_t FeatureNetwork::dimensions() const { return impl_->dimensions(); }
const std::string& FeatureNetwork::sha256() const { return impl_->sha256(); }
std::string FeatureNetwork::resize_text() const { return impl_->resize_text(); }
std::string FeatureNetwork::frechet_name() const { return impl_->name("FID", "FD"); }
std::string FeatureNetwork::kernel_name() const { return impl_->name("KID", "KD"); }

}  // namespace cdm
