// SPDX-License-Identifier: MIT
// Distances between two sets of images, computed from their features in float64.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/eval/feature_statistics.h"

namespace cdm {

/// The squared Frechet distance between two Gaussians with means mu and covariances S (Dowson and
/// Landau, 1982): |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)). With Inception features it
/// is called FID (Heusel et al., 2017).
///
/// Eigenvalues that are negative by rounding are set to 0. When a covariance lacks full rank, the
/// rounding error is about 1e-8 of the variance. Throws UserError, naming both sources, when their
/// dimensions differ.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

struct KernelDistance {
  double mean, deviation;      // over the subsets; the standard deviation divides by their number
  std::int64_t subsets, size;  // as used: the size is at most N and at most M
};

/// The unbiased estimate of the squared maximum mean discrepancy between features x [N, D] and
/// y [M, D] with the kernel (x.y / D + 1)^3, averaged over random subsets. With Inception features
/// it is called KID (Binkowski et al., 2018).
///
/// Each subset takes `size` rows of x and `size` rows of y without replacement, chosen by (seed,
/// number of the subset). Computed on the features' device. Throws UserError when the dimensions
/// differ or a side has fewer than 2 images.
KernelDistance kid(const at::Tensor& x, const at::Tensor& y, std::int64_t subsets = 100,
                   std::int64_t size = 1000, std::uint64_t seed = 0);

struct PrecisionRecall {
  double precision;  // fraction of generated images that lie in the manifold of the real ones
  double recall;     // fraction of real images that lie in the manifold of the generated ones
};

/// Improved precision and recall (Kynkaanniemi et al., 2019) of features `real` [N, D] and `fake`
/// [M, D]. The manifold of a set is the union of balls around its images; the radius of a ball is
/// the distance to the image's k-th nearest neighbour in the set.
///
/// Distances are computed block by block, so that memory grows as (N + M) D. Computed on the
/// features' device. Throws UserError when the dimensions differ or a side has fewer than k + 1
/// images.
PrecisionRecall precision_recall(const at::Tensor& real, const at::Tensor& fake,
                                 std::int64_t k = 3);

}  // namespace cdm
