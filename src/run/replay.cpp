// SPDX-License-Identifier: MIT
#include "cdm/run/replay.h"

#include <ATen/TensorOperators.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/data/dataset.h"
#include "cdm/diffusion/loss.h"
#include "cdm/run/trainer.h"
#include "cdm/train/optimizer.h"

namespace cdm {
namespace {

std::map<std::int64_t, std::int64_t> count_levels(const at::Tensor& t) {
  const at::Tensor levels = t.to(at::kCPU).contiguous();
  std::map<std::int64_t, std::int64_t> counts;
  for (std::int64_t i = 0; i < levels.size(0); ++i) {
    ++counts[levels.const_data_ptr<std::int64_t>()[i]];
  }
  return counts;
}

/// JSON has no NaN.
nlohmann::json number_or_text(const at::Tensor& scalar) {
  const auto value = scalar.item<double>();
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0.0 ? "inf" : "-inf";
}

bool is_finite(const LossGradients& loss) {
  return (loss.terms.total + gradient_norm(loss.gradients)).isfinite().item<bool>();
}

/// Which images and which parameters the numbers that are not finite belong to.
void print_what_is_bad(const Learner& learner, const StepInputs& inputs, const LossGradients& loss,
                       std::ostream& out) {
  const NamedTensors& parameters = learner.model().network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor bad = loss.gradients[i].isfinite().logical_not();
    if (bad.any().item<bool>()) {
      out << "bad_gradient " << parameters[i].first << " " << bad.sum().item<std::int64_t>()
          << " of " << bad.numel() << "\n";
    }
  }
  for (std::int64_t row = 0; row < inputs.x0.size(0); ++row) {
    if (is_finite(learner.loss_gradients(rows_of(inputs, row, 1)))) continue;
    out << "bad_row " << row << " level " << inputs.t[row].item<std::int64_t>() << "\n";
  }
}

}  // namespace

void write_bad_step(const std::filesystem::path& file, const RunConfig& config,
                    const NoiseSchedule& schedule, std::int64_t step, const StepReport& report) {
  const RandomStream stream = {static_cast<std::uint64_t>(config.seed), Purpose::level,
                               static_cast<std::uint64_t>(step)};
  nlohmann::ordered_json line = {{"step", step + 1}, {"seed", config.seed}};
  for (const auto& [level, count] : count_levels(
           draw_levels(schedule, config.model, config.loss, stream, config.train.batch_size))) {
    line["levels"][std::to_string(level)] = count;
  }
  if (report.gradient_norm.defined()) {
    line["loss"] = number_or_text(report.loss.total);
    line["ce"] = number_or_text(report.loss.ce);
    line["mse"] = number_or_text(report.loss.mse);
    line["gradient_norm"] = number_or_text(report.gradient_norm);
  }
  std::ofstream lines(file, std::ios::app | std::ios::binary);
  lines << line.dump() << std::endl;
  if (!lines) throw std::runtime_error(concat("cannot write ", file.string()));
}

void replay_step(const RunConfig& config, const RunDir& run, at::Device device, std::int64_t number,
                 std::ostream& out) {
  if (!run.has_config()) {
    throw UserError(concat("--replay-step: there is no run in ", run.root().string()));
  }
  const Dataset train = load_dataset(config.data, Split::train);
  const RunConfig resolved = resolve(config, train);
  require_same_run(run, resolved);
  Learner learner(resolved, network_shape(resolved), device);
  if (const std::optional<TrainingState> checkpoint = run.newest_checkpoint(number)) {
    learner.restore(*checkpoint, run.checkpoints().string());
  }
  const std::int64_t from = learner.steps_done();
  log_info(concat("replaying steps ", from + 1, " to ", number));
  BatchStream batches(train, resolved.train.batch_size, static_cast<std::uint64_t>(resolved.seed),
                      resolved.data.horizontal_flip, device);
  const Share all = {0, resolved.train.batch_size};
  const auto inputs_at = [&](std::int64_t step) {
    return inputs_of_step(resolved, learner.model().schedule(), batches, step, all);
  };
  while (learner.steps_done() < number - 1) learner.step(inputs_at(learner.steps_done()));

  const StepInputs inputs = inputs_at(number - 1);
  const LossGradients loss = learner.loss_gradients(inputs);
  out.precision(9);
  out << "step " << number << "\nseed " << resolved.seed << "\nfrom_step " << from << "\nloss "
      << loss.terms.total.item<double>() << "\nce " << loss.terms.ce.item<double>() << "\nmse "
      << loss.terms.mse.item<double>() << "\naccuracy " << loss.terms.accuracy.item<double>()
      << "\ngradient_norm " << gradient_norm(loss.gradients).item<double>() << "\nlearning_rate "
      << learning_rate_at(resolved.train, number - 1) << "\nlevels";
  for (const auto& [level, count] : count_levels(inputs.t)) out << " " << level << ":" << count;
  out << "\n";
  if (!is_finite(loss)) print_what_is_bad(learner, inputs, loss, out);
}

}  // namespace cdm
