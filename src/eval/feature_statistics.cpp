// SPDX-License-Identifier: MIT
#include "cdm/eval/feature_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/npz.h"

namespace cdm {
namespace {

constexpr const char* kMean = "mu";
constexpr const char* kCovariance = "sigma";

/// The array as float64. Throws UserError when it is not float32 or float64, or not finite.
at::Tensor read_array(const std::filesystem::path& path, const char* name) {
  const at::Tensor array = read_npz(path, name);
  if (array.scalar_type() != at::kFloat && array.scalar_type() != at::kDouble) {
    throw UserError(concat(path.string(), ": array '", name, "' is of type ", array.scalar_type(),
                           "; float32 and float64 are read"));
  }
  if (!array.isfinite().all().item<bool>()) {
    throw UserError(concat(path.string(), ": array '", name, "' holds NaN or infinity"));
  }
  return array.to(at::kDouble);
}

std::string shape_text(const at::Tensor& array) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : array.sizes()) sizes.push_back(std::to_string(size));
  return concat("[", join(sizes, ", "), "]");
}

}  // namespace

FeatureStatistics::FeatureStatistics(std::int64_t dimensions)
    : mean_(at::zeros({dimensions}, at::kDouble)),
      scatter_(at::zeros({dimensions, dimensions}, at::kDouble)) {}

void FeatureStatistics::add(const at::Tensor& features) {
  TORCH_CHECK(features.dim() == 2 && features.size(1) == mean_.size(0), "features are [n, ",
              mean_.size(0), "], not ", features.sizes());
  const std::int64_t added = features.size(0);
  if (added == 0) return;
  const at::Tensor x = features.detach().to(at::kCPU, at::kDouble);
  const at::Tensor mean = x.mean(0);
  const at::Tensor centred = x - mean;
  const at::Tensor shift = mean - mean_;
  const auto before = static_cast<double>(count_);
  count_ += added;
  const double share = static_cast<double>(added) / static_cast<double>(count_);
  scatter_.addmm_(centred.t(), centred);
  scatter_.addr_(shift, shift, /*beta=*/1.0, /*alpha=*/before * share);
  mean_.add_(shift, share);
}

FeatureMoments FeatureStatistics::moments(const std::string& source) const {
  if (count_ < 2) {
    throw UserError(concat(source, ": holds ", count_, count_ == 1 ? " image" : " images",
                           "; a covariance needs at least 2, and better more than the ",
                           mean_.size(0), " features"));
  }
  const at::Tensor covariance = scatter_ / static_cast<double>(count_ - 1);
  return {source, count_, mean_.clone(), (covariance + covariance.t()) / 2.0};
}

std::string rank_warning(const FeatureMoments& moments) {
  if (moments.count == 0 || moments.count > moments.dimensions()) return {};
  return concat(moments.source, ": ", moments.count, " images give a covariance of ",
                moments.dimensions(), " features that lacks full rank (at least ",
                moments.dimensions() + 1,
                " are needed): the distance depends strongly on the number of images");
}

bool holds_moments(const std::filesystem::path& path) {
  const std::vector<std::string> names = npz_names(path);
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return has(kMean) && has(kCovariance);
}

FeatureMoments read_moments(const std::filesystem::path& path) {
  constexpr double kAsymmetry = 1e-5;  // sigma may have been rounded to float32
  const at::Tensor mean = read_array(path, kMean);
  if (mean.dim() != 1 || mean.size(0) == 0) {
    throw UserError(
        concat(path.string(), ": array 'mu' is ", shape_text(mean), "; a vector [D] is needed"));
  }
  const std::int64_t D = mean.size(0);
  const at::Tensor covariance = read_array(path, kCovariance);
  if (covariance.sizes() != at::IntArrayRef({D, D})) {
    throw UserError(concat(path.string(), ": array 'sigma' is ", shape_text(covariance),
                           "; with 'mu' of ", D, " features, [", D, ", ", D, "] is needed"));
  }
  const double largest = covariance.abs().max().item<double>();
  const double asymmetry = (covariance - covariance.t()).abs().max().item<double>();
  if (asymmetry > kAsymmetry * largest) {
    throw UserError(concat(path.string(), ": array 'sigma' is no covariance: it is not symmetric"));
  }
  if (covariance.diagonal().min().item<double>() < 0.0) {
    throw UserError(
        concat(path.string(), ": array 'sigma' is no covariance: it has a negative variance"));
  }
  return {path.string(), 0, mean, (covariance + covariance.t()) / 2.0};
}

void write_moments(const std::filesystem::path& path, const FeatureMoments& moments) {
  NpzWriter writer(path);
  writer.write(kMean, moments.mean);
  writer.write(kCovariance, moments.covariance);
  writer.close();
}

}  // namespace cdm
