// SPDX-License-Identifier: MIT
#include "diffusion/objectives/level_draws.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace cdm {
namespace {

const at::TensorOptions kReal = at::TensorOptions().dtype(at::kDouble);

/// 1 for levels 1 .. R-1, which hold both image and noise, and 0 for the ends: float64 [K].
at::Tensor between_the_ends(const NoiseSchedule& schedule) {
  at::Tensor between = at::ones({schedule.levels()}, kReal);
  between[0].zero_();
  between[-1].zero_();
  return between;
}

/// `weights` divided by their sum; equal shares of those in `where` if the sum is 0.
at::Tensor shares(const at::Tensor& weights, const at::Tensor& where) {
  return weights.sum().item<double>() > 0.0 ? weights / weights.sum()
                                            : where / where.sum().clamp_min(1.0);
}

}  // namespace

LevelDraws::LevelDraws(LevelSampling sampling, LevelDensity density, const NoiseSchedule& schedule,
                       std::int64_t first, std::int64_t count)
    : independent_(sampling == LevelSampling::independent),
      uniform_(density == LevelDensity::uniform),
      first_(first),
      count_(count) {
  TORCH_CHECK(first >= 0 && count > 0 && first + count <= schedule.levels(), "levels ", first,
              " .. ", first + count - 1, " of ", schedule.levels());
  at::Tensor drawn = at::zeros({schedule.levels()}, kReal);
  drawn.narrow(0, first, count).fill_(1.0);
  probability_ = drawn / static_cast<double>(count);
  const at::Tensor between = drawn * between_the_ends(schedule);
  if (!uniform_ && between.sum().item<double>() > 0.0) {
    const at::Tensor ends = probability_ * (1.0 - between);
    const at::Tensor weights = schedule.log_snr_weights() * between;
    probability_ = ends + (1.0 - ends.sum()) * shares(weights, between);
  }
  const at::TensorOptions there = schedule.options();
  cumulative_ = probability_.narrow(0, first, count).cumsum(0).to(there.dtype(at::kDouble));
  log_prior_ = probability_.log().to(there);
}

at::Tensor LevelDraws::operator()(const RowDraws& draws) const {
  if (independent_ && uniform_) return draws.integers(Purpose::level, first_, count_);
  const at::Tensor u =
      independent_ ? draws.uniform(Purpose::level).to(at::kDouble) : draws.spread(Purpose::level);
  return at::searchsorted(cumulative_.to(draws.device()), u, /*out_int32=*/false, /*right=*/true)
      .clamp_max(count_ - 1)
      .add(first_);
}

at::Tensor LevelDraws::with_prior(const at::Tensor& f) const {
  return uniform_ ? f : f + log_prior_;
}

at::Tensor mse_weights(const LossConfig& config, const NoiseSchedule& schedule,
                       const at::Tensor& probability) {
  const auto placed = [&](const at::Tensor& weights) { return weights.to(schedule.options()); };
  switch (config.mse_weighting) {
    case MseWeighting::flat:
      return {};
    case MseWeighting::likelihood: {
      const at::Tensor drawn = probability.gt(0.0);
      const at::Tensor between = between_the_ends(schedule) * drawn;
      const at::Tensor part = shares(schedule.log_snr_weights() * between, between);
      return placed(at::where(drawn, part / probability, at::zeros({}, kReal)));
    }
    case MseWeighting::min_snr: {
      at::Tensor weights = at::zeros({schedule.levels()}, kReal);
      for (std::int64_t t = 0; t < schedule.levels(); ++t) {
        const double ratio = schedule.signal(t) / schedule.sigma(t);  // infinite at the data
        weights[t].fill_(config.min_snr_gamma / std::max(ratio * ratio, config.min_snr_gamma));
      }
      return placed(weights);
    }
  }
  TORCH_CHECK(false, "loss.mse_weighting is none of the weightings");
}

}  // namespace cdm
