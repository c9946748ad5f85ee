// SPDX-License-Identifier: MIT
#include "cdm/eval/frechet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/for_each_batch.h"
#include "cdm/core/text.h"
#include "cdm/device/random.h"

namespace cdm {
namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 22;  // 32 MiB of float64

/// Cuts x into blocks of rows and calls visit(number of the first row, rows) for each. A block has
/// so many rows that a matrix [rows, columns] has at most kBlockElements elements.
template <class Visit>
void for_each_block(const at::Tensor& x, std::int64_t columns, const Visit& visit) {
  const std::int64_t rows = std::max<std::int64_t>(kBlockElements / columns, 1);
  for_each_batch(x.size(0), rows, [&](std::int64_t first, std::int64_t count) {
    visit(first, x.narrow(0, first, count));
  });
}

/// A matrix F with F F' = covariance.
at::Tensor square_root(const at::Tensor& covariance) {
  const auto [values, vectors] = at::linalg_eigh(covariance);
  return vectors * values.clamp_min(0.0).sqrt();
}

/// (x.y / D + 1)^3 of products x.y.
at::Tensor cubic_kernel(const at::Tensor& products, std::int64_t D) {
  return (products / static_cast<double>(D) + 1.0).pow(3);
}

double kernel_sum(const at::Tensor& x, const at::Tensor& y) {
  double sum = 0.0;
  for_each_block(x, y.size(0), [&](std::int64_t, const at::Tensor& rows) {
    sum += cubic_kernel(rows.mm(y.t()), x.size(1)).sum().item<double>();
  });
  return sum;
}

/// Mean of the kernel over all pairs of different rows.
double mean_within(const at::Tensor& x) {
  const auto n = static_cast<double>(x.size(0));
  const double same = cubic_kernel(x.square().sum(1), x.size(1)).sum().item<double>();
  return (kernel_sum(x, x) - same) / (n * (n - 1.0));
}

double squared_mmd(const at::Tensor& x, const at::Tensor& y) {
  const double across =
      kernel_sum(x, y) / (static_cast<double>(x.size(0)) * static_cast<double>(y.size(0)));
  return mean_within(x) + mean_within(y) - 2.0 * across;
}

/// `size` different rows of x, in float64.
at::Tensor random_rows(const at::Tensor& x, std::int64_t size, const RandomStream& stream) {
  const at::Tensor rows = permutation(stream, x.size(0)).narrow(0, 0, size).to(x.device());
  return x.index_select(0, rows).to(at::kDouble);
}

at::Tensor squared_distances(const at::Tensor& x, const at::Tensor& y) {
  at::Tensor squares = x.square().sum(1, /*keepdim=*/true) + y.square().sum(1);
  return squares.addmm_(x, y.t(), /*beta=*/1.0, /*alpha=*/-2.0).clamp_min_(0.0);
}

/// Squared distance of each row to its k-th nearest other row: [N].
at::Tensor squared_radii(const at::Tensor& x, std::int64_t k) {
  at::Tensor radii = at::zeros({x.size(0)}, x.options());
  for_each_block(x, x.size(0), [&](std::int64_t first, const at::Tensor& rows) {
    // k + 1, because the nearest is the row itself, at distance 0.
    radii.narrow(0, first, rows.size(0))
        .copy_(std::get<0>(squared_distances(rows, x).kthvalue(k + 1, 1)));
  });
  return radii;
}

/// The fraction of rows of x that lie in a ball around any row of `centres`. `radii` are squared.
double share_within(const at::Tensor& x, const at::Tensor& centres, const at::Tensor& radii) {
  std::int64_t within = 0;
  for_each_block(x, centres.size(0), [&](std::int64_t, const at::Tensor& rows) {
    within += (squared_distances(rows, centres) <= radii).any(1).sum().item<std::int64_t>();
  });
  return static_cast<double>(within) / static_cast<double>(x.size(0));
}

void check_sets(const at::Tensor& x, const at::Tensor& y, std::int64_t least,
                const std::string& what) {
  TORCH_CHECK(x.dim() == 2 && y.dim() == 2, "features are [N, D], not ", x.sizes(), " and ",
              y.sizes());
  if (x.size(1) != y.size(1)) {
    throw UserError(concat(what, ": one side has ", x.size(1), " features, the other ", y.size(1),
                           "; both have to come from one network"));
  }
  if (std::min(x.size(0), y.size(0)) < least) {
    throw UserError(concat(what, " needs at least ", least, " images on either side, not ",
                           x.size(0), " and ", y.size(0)));
  }
}

}  // namespace

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  if (a.dimensions() != b.dimensions()) {
    throw UserError(concat(a.source, ": has ", a.dimensions(), " features, but ", b.source, " has ",
                           b.dimensions(), "; both have to come from one network"));
  }
  // With S_a = F F', (S_a S_b)^(1/2) has the trace of (F' S_b F)^(1/2), which is symmetric.
  const at::Tensor F = square_root(a.covariance);
  const at::Tensor roots = at::linalg_eigvalsh(F.t().mm(b.covariance).mm(F)).clamp_min(0.0).sqrt();
  const double means = (a.mean - b.mean).square().sum().item<double>();
  const double traces = (a.covariance.diagonal() + b.covariance.diagonal()).sum().item<double>();
  return std::max(means + traces - 2.0 * roots.sum().item<double>(), 0.0);
}

KernelDistance kid(const at::Tensor& x, const at::Tensor& y, std::int64_t subsets,
                   std::int64_t size, std::uint64_t seed) {
  TORCH_CHECK(subsets >= 1 && size >= 2, "KID needs a subset of two images");
  check_sets(x, y, 2, "the kernel distance");
  size = std::min({size, x.size(0), y.size(0)});
  double sum = 0.0, squares = 0.0;
  std::vector<double> values;
  for (std::int64_t i = 0; i < subsets; ++i) {
    const auto index = static_cast<std::uint64_t>(2 * i);
    values.push_back(squared_mmd(random_rows(x, size, {seed, Purpose::data_order, index}),
                                 random_rows(y, size, {seed, Purpose::data_order, index + 1})));
    sum += values.back();
  }
  const auto count = static_cast<double>(subsets);
  const double mean = sum / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / count), subsets, size};
}

PrecisionRecall precision_recall(const at::Tensor& real, const at::Tensor& fake, std::int64_t k) {
  TORCH_CHECK(k >= 1, "k = ", k, " neighbours");
  check_sets(real, fake, k + 1, concat("precision and recall with k = ", k));
  // Subtracting the mean keeps numbers small, so that squared distances lose fewer digits.
  const at::Tensor mean = real.to(at::kDouble).mean(0);
  const at::Tensor reals = real.to(at::kDouble) - mean, fakes = fake.to(at::kDouble) - mean;
  return {share_within(fakes, reals, squared_radii(reals, k)),
          share_within(reals, fakes, squared_radii(fakes, k))};
}

}  // namespace cdm
