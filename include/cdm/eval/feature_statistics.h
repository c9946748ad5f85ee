// SPDX-License-Identifier: MIT
// Mean and covariance of the features of images: computed batch by batch, and read and written as
// files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace cdm {

/// Mean and covariance of the features of a set of images.
struct FeatureMoments {
  std::string source;     // where the features come from, for messages
  std::int64_t count;     // number of images; 0 = unknown (moments read from a file)
  at::Tensor mean;        // float64 [D], CPU
  at::Tensor covariance;  // float64 [D, D], symmetric, divided by count - 1

  std::int64_t dimensions() const { return mean.size(0); }
};

/// Computes moments in float64, batch by batch. Batches are merged by the update of Chan, Golub and
/// LeVeque (1983), which avoids the cancellation of "mean of squares minus square of the mean". The
/// result depends on how images are cut into batches only by rounding.
class FeatureStatistics {
 public:
  /// `dimensions` is D.
  explicit FeatureStatistics(std::int64_t dimensions);

  /// Adds features [n, D], n >= 0. They must be finite, of any floating type, on any device.
  void add(const at::Tensor& features);

  std::int64_t count() const { return count_; }

  /// Throws UserError, naming `source`, for fewer than 2 images.
  FeatureMoments moments(const std::string& source) const;

 private:
  std::int64_t count_ = 0;
  at::Tensor mean_, scatter_;  // scatter: the sum of (x - mean) (x - mean)'
};

/// A warning in one line when there were no more images than features: the covariance then lacks
/// full rank, and the distance depends strongly on the number of images. Empty when there were
/// enough, or when the number is unknown.
std::string rank_warning(const FeatureMoments& moments);

/// Whether the .npz file holds moments (arrays `mu` and `sigma`) and not images. Throws UserError
/// when it is not an .npz file.
bool holds_moments(const std::filesystem::path& path);

/// Reads `mu` [D] and `sigma` [D, D], float32 or float64, from an .npz file, as pytorch-fid,
/// clean-fid and ADM write it. Other arrays in the file are ignored. Throws UserError, naming the
/// file and the array, when an array is missing, has another type or shape, or is not finite, and
/// when `sigma` is not symmetric (to 1e-5 of its largest entry) or has a negative variance.
FeatureMoments read_moments(const std::filesystem::path& path);

/// Writes `mu` and `sigma` in float64 to an .npz file. It is written under a temporary name and
/// then renamed, so that `path` never holds half a file.
void write_moments(const std::filesystem::path& path, const FeatureMoments& moments);

}  // namespace cdm
