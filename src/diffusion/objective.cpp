// SPDX-License-Identifier: MIT
#include "cdm/diffusion/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "diffusion/objectives/objectives.h"

namespace cdm {

RowDraws::RowDraws(std::uint64_t seed, StreamIndex step, std::int64_t first_row,
                   const at::Tensor& rows, std::int64_t batch_rows)
    : seed_(seed),
      step_(std::move(step)),
      first_row_(first_row),
      batch_rows_(batch_rows == 0 ? rows.size(0) : batch_rows),
      like_(rows) {}

RandomStream RowDraws::stream(Purpose purpose) const { return {seed_, purpose, step_}; }

at::Tensor RowDraws::integers(Purpose purpose, std::int64_t low, std::int64_t count) const {
  return cdm::integers(stream(purpose), like_.size(0), count, first_row_, like_.device()) + low;
}

at::Tensor RowDraws::normal(Purpose purpose) const {
  return cdm::normal(stream(purpose), like_.sizes(), like_.options(), first_row_);
}

at::Tensor RowDraws::uniform(Purpose purpose) const {
  return cdm::uniform(stream(purpose), {like_.size(0)}, like_.options().dtype(at::kFloat),
                      first_row_);
}

at::Tensor RowDraws::uniform(Purpose purpose, std::int64_t count) const {
  return cdm::uniform(stream(purpose), {like_.size(0), count}, like_.options().dtype(at::kFloat),
                      first_row_);
}

at::Tensor RowDraws::numbers() const {
  return at::arange(first_row_, first_row_ + like_.size(0), like_.options().dtype(at::kLong));
}

namespace {

/// A factor that has no divisor in common with n, so that the multiples of it modulo n are a
/// permutation of 0 .. n-1. It is near n divided by the golden ratio: then multiples that follow
/// each other are spread evenly, however many they are.
std::int64_t spreading_factor(std::int64_t n) {
  const auto near =
      static_cast<std::int64_t>(std::llround(static_cast<double>(n) * (std::numbers::phi - 1.0)));
  for (std::int64_t distance = 0;; ++distance) {  // ends at 1, at the latest
    for (const std::int64_t factor : {near - distance, near + distance}) {
      if (factor > 0 && std::gcd(factor, n) == 1) return factor;
    }
  }
}

}  // namespace

at::Tensor RowDraws::spread(Purpose purpose) const {
  const at::Tensor places = (numbers() * spreading_factor(batch_rows_)).remainder(batch_rows_);
  const at::Tensor shift = cdm::uniform(stream(purpose), {1}, like_.options().dtype(at::kDouble));
  return (places.to(at::kDouble) / static_cast<double>(batch_rows_) + shift).remainder(1.0);
}

std::unique_ptr<Objective> make_objective(const LossConfig& config, const NoiseSchedule& schedule) {
  switch (config.kind) {
    case ObjectiveKind::cdm:
      return make_cdm_objective(config, schedule);
    case ObjectiveKind::nce:
      return make_nce_objective(config, schedule);
    case ObjectiveKind::tre:
      return make_tre_objective(config, schedule);
    case ObjectiveKind::subset:
      return make_subset_objective(config, schedule);
    case ObjectiveKind::pairs:
      return make_pairs_objective(config, schedule);
    case ObjectiveKind::time_score:
      return make_time_score_objective(config, schedule);
    case ObjectiveKind::denoising:
      return make_denoising_objective(config, schedule);
  }
  TORCH_CHECK(false, "loss.kind is none of the objectives");
}

}  // namespace cdm
