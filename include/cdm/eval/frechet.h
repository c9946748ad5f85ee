// SPDX-License-Identifier: MIT
// How far apart two sets of images are, by the features that a network gives them. All in float64.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/eval/feature_statistics.h"

namespace cdm {

/// |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)): the squared Frechet distance of two
/// Gaussians (Dowson & Landau, 1982), which on Inception features is called FID (Heusel et al.,
/// 2017). Eigenvalues that rounding made negative count as 0. Where a covariance lacks full rank,
/// its null space adds noise of some 1e-8 of the variance. Throws UserError, naming both sources,
/// when their dimensions differ.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

struct KernelDistance {
  double mean, deviation;      // over the subsets; the deviation divides by their number
  std::int64_t subsets, size;  // as used: size is at most the number of images of either side
};

/// Unbiased squared maximum mean discrepancy of x [N, D] and y [M, D] under the kernel
/// (x.y / D + 1)^3, over random subsets: KID on Inception features (Binkowski et al., 2018).
/// Every subset is drawn without replacement, from x and from y, by (seed, number of the subset).
/// Computed on the features' device. Throws UserError when D differs or a side has fewer than 2
/// images.
KernelDistance kid(const at::Tensor& x, const at::Tensor& y, std::int64_t subsets = 100,
                   std::int64_t size = 1000, std::uint64_t seed = 0);

struct PrecisionRecall {
  double precision;  // share of generated images within the real manifold
  double recall;     // share of real images within the generated manifold
};

/// Improved precision and recall (Kynkaanniemi et al., 2019) of features real [N, D], fake [M, D]:
/// a manifold is the union of balls about the images of a set, each reaching to its k-th nearest
/// neighbour in the set. Distances are taken block by block: memory grows as (N + M) D. Computed on
/// the features' device. Throws UserError when D differs or a side has fewer than k + 1 images.
PrecisionRecall precision_recall(const at::Tensor& real, const at::Tensor& fake,
                                 std::int64_t k = 3);

}  // namespace cdm
