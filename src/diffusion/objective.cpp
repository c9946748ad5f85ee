// SPDX-License-Identifier: MIT
#include "cdm/diffusion/objective.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <utility>

#include "diffusion/objectives/objectives.h"

namespace cdm {

RowDraws::RowDraws(std::uint64_t seed, StreamIndex step, std::int64_t first_row,
                   const at::Tensor& rows)
    : seed_(seed), step_(std::move(step)), first_row_(first_row), like_(rows) {}

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

std::unique_ptr<Objective> make_objective(const LossConfig& config) {
  switch (config.kind) {
    case ObjectiveKind::cdm:
      return make_cdm_objective(config);
    case ObjectiveKind::nce:
      return make_nce_objective(config);
    case ObjectiveKind::tre:
      return make_tre_objective(config);
    case ObjectiveKind::denoising:
      return make_denoising_objective(config);
  }
  TORCH_CHECK(false, "loss.kind is none of the objectives");
}

}  // namespace cdm
