// SPDX-License-Identifier: MIT
#include "cdm/run/stored_averages.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/model/anchor.h"
#include "cdm/run/checkpoint.h"
#include "cdm/run/run_dir.h"
#include "cdm/train/power_average.h"

namespace cdm {

MadeAverage make_average(const ModelFiles& model, double sigma_rel) {
  MadeAverage made;
  made.config = load_config(model);
  if (made.config.train.ema_kind != AverageKind::power) {
    throw UserError(concat(model.checkpoint.string(),
                           ": train.ema_kind = ", name_of(made.config.train.ema_kind),
                           ": averages of other widths can be made of power averages only"));
  }
  const std::int64_t step = read_checkpoint_step(model.checkpoint);
  std::vector<std::filesystem::path> folders;
  for (const std::filesystem::path& folder :
       list_checkpoints(RunDir(model.config.parent_path()).averages())) {
    if (step_of(folder) < step) folders.push_back(folder);
  }
  folders.push_back(model.checkpoint);

  const std::vector<double>& widths = made.config.train.ema_sigma_rel;
  std::vector<PowerProfile> profiles;
  for (const std::filesystem::path& folder : folders) {
    const std::int64_t at = &folder == &folders.back() ? step : step_of(folder);
    for (const double width : widths) profiles.push_back({at, width});
  }
  const Combination combination = combine(profiles, {step, sigma_rel});
  made.sources = static_cast<std::int64_t>(profiles.size());
  made.error = combination.error;

  // The statistics of an anchor are no weights. They are the same everywhere, and kept as they are.
  const auto is_weight = [](const std::string& name) { return !name.starts_with(Anchor::kPrefix); };
  // The factors may be large and of both signs, so the sum is made in float64.
  NamedTensors& sum = made.state.ema;
  auto factor = combination.factors.begin();
  for (const std::filesystem::path& folder : folders) {
    for (std::size_t i = 0; i < widths.size(); ++i, ++factor) {
      const NamedTensors average = read_weights(folder, average_name(static_cast<std::int64_t>(i)));
      if (sum.empty()) {
        for (const auto& [name, tensor] : average) {
          sum.emplace_back(name, is_weight(name) ? at::zeros_like(tensor, at::kDouble) : tensor);
        }
      }
      for (auto& [name, tensor] : sum) {
        if (is_weight(name)) tensor.add_(tensor_named(average, name), *factor);
      }
    }
  }
  for (auto& [name, tensor] : sum) {
    if (is_weight(name)) tensor = tensor.to(at::kFloat);
  }
  made.state.step = step;
  made.config.train.ema_sigma_rel = {sigma_rel};
  return made;
}

}  // namespace cdm
