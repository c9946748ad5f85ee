// SPDX-License-Identifier: MIT
// Mean and covariance of features of images, gathered batch by batch, and kept in files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace cdm {

/// The Gaussian that stands for a set of images.
struct FeatureMoments {
  std::string source;     // for messages: the file, or what else the features are from
  std::int64_t count;     // images; 0 = unknown (moments read from a file)
  at::Tensor mean;        // float64 [D], CPU
  at::Tensor covariance;  // float64 [D, D], symmetric, divided by count - 1

  std::int64_t dimensions() const { return mean.size(0); }
};

/// Gathers moments in float64. Batches are merged by the update of Chan, Golub & LeVeque (1983), so
/// that nothing cancels and the result does not depend on how images are cut into batches, but for
/// rounding.
class FeatureStatistics {
 public:
  /// `dimensions` is D.
  explicit FeatureStatistics(std::int64_t dimensions);

  /// Features [n, D], n >= 0, finite, of any floating type and device.
  void add(const at::Tensor& features);

  std::int64_t count() const { return count_; }

  /// Throws UserError, naming `source`, for fewer than 2 images.
  FeatureMoments moments(const std::string& source) const;

 private:
  std::int64_t count_ = 0;
  at::Tensor mean_, scatter_;  // scatter = sum of (x - mean) (x - mean)'
};

/// One line for the user when count <= D images were too few for a covariance of full rank, and the
/// distance therefore depends strongly on their number; else (or where count is unknown) empty.
std::string rank_warning(const FeatureMoments& moments);

/// Whether the .npz file holds moments (arrays `mu` and `sigma`) rather than images. Throws
/// UserError when it is not an .npz file.
bool holds_moments(const std::filesystem::path& path);

/// Reads `mu` [D] and `sigma` [D, D], float32 or float64, from an .npz file as other projects write
/// it (pytorch-fid, clean-fid, ADM); further arrays are passed over. Throws UserError, naming file
/// and array, when one is absent, of another type or shape, not finite, or when `sigma` is not
/// symmetric (to 1e-5 of its largest entry) or has a negative variance.
FeatureMoments read_moments(const std::filesystem::path& path);

/// Writes `mu` and `sigma` in float64, beside `path`, then renames.
void write_moments(const std::filesystem::path& path, const FeatureMoments& moments);

}  // namespace cdm
