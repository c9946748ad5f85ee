// SPDX-License-Identifier: MIT
#include "cdm/run/replay.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/tensors.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/data/dataset.h"
#include "cdm/run/prepare.h"
#include "cdm/train/anchor_statistics.h"
#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "cdm/train/optimizer.h"

namespace cdm {
namespace {

/// The levels "t" among the tensors that an objective drew; undefined when it draws no levels.
at::Tensor levels_of(const NamedTensors& drawn) { return find_tensor(drawn, "t"); }

/// Level -> number of rows at that level.
std::map<std::int64_t, std::int64_t> count_levels(const at::Tensor& t) {
  if (!t.defined()) return {};
  const at::Tensor levels = t.to(at::kCPU).contiguous();
  std::map<std::int64_t, std::int64_t> counts;
  for (std::int64_t i = 0; i < levels.size(0); ++i) {
    ++counts[levels.const_data_ptr<std::int64_t>()[i]];
  }
  return counts;
}

/// The number as JSON, which has no NaN and no infinity: they become text.
nlohmann::json number_or_text(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0.0 ? "inf" : "-inf";
}

bool is_finite(const LossGradients& loss) {
  return (loss["loss"] + gradient_norm(loss.gradients)).isfinite().item<bool>();
}

/// Prints the parameters whose gradients are not finite, and the rows whose loss or gradient is
/// not.
void print_what_is_not_finite(Learner& learner, const StepInputs& inputs, const LossGradients& loss,
                              std::ostream& out) {
  const NamedTensors& parameters = learner.model().network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor not_finite = loss.gradients[i].isfinite().logical_not();
    if (not_finite.any().item<bool>()) {
      out << "bad_gradient " << parameters[i].first << " " << not_finite.sum().item<std::int64_t>()
          << " of " << not_finite.numel() << "\n";
    }
  }
  for (std::int64_t row = 0; row < inputs.x0.size(0); ++row) {
    const StepInputs one = rows_of(inputs, {row, 1});
    if (is_finite(learner.loss_gradients(one))) continue;
    out << "bad_row " << row;
    if (const at::Tensor t = levels_of(one.drawn); t.defined()) {
      out << " level " << t.item<std::int64_t>();
    }
    out << "\n";
  }
}

}  // namespace

void write_skipped_step(const std::filesystem::path& file, const RunConfig& config,
                        const Objective& objective, const NoiseSchedule& schedule,
                        const SkippedStep& step) {
  const at::Tensor images = at::empty({config.train.batch_size, config.data.channels,
                                       config.data.image_size, config.data.image_size});
  const RowDraws draws(static_cast<std::uint64_t>(config.seed), step.step, /*first_row=*/0, images);
  nlohmann::ordered_json line = {{"step", step.step + 1}, {"seed", config.seed}};
  for (const auto& [level, count] : count_levels(levels_of(objective.draw(schedule, draws)))) {
    line["levels"][std::to_string(level)] = count;
  }
  for (const auto& [name, value] : step.values) line[name] = number_or_text(value);
  std::ofstream lines(file, std::ios::app | std::ios::binary);
  lines << line.dump() << std::endl;
  if (!lines) throw std::runtime_error(concat("cannot write ", file.string()));
}

void replay_step(const RunConfig& config, const RunDir& run, at::Device device, std::int64_t number,
                 std::ostream& out) {
  if (!run.has_config() && list_checkpoints(run.checkpoints()).empty()) {
    throw UserError(concat("--replay-step: there is no run in ", run.root().string()));
  }
  if (number > config.train.iterations) {
    throw UserError(concat("--replay-step ", number, ": must be in 1..", config.train.iterations,
                           ", the steps of the run (train.iterations)"));
  }
  const RunConfig known = with_classes_of(run, config);
  const Dataset train = load_training_images(known);
  const RunConfig resolved = resolve(known, train);
  const std::optional<TrainingState> state = run.newest_checkpoint(number);
  require_same_run(run, state, resolved);
  Learner learner(resolved, network_shape(resolved), device);
  if (state) {
    learner.restore(*state, run.checkpoints().string());
  } else {
    learner.set_anchor(anchor_statistics(resolved, train));
  }
  // The time at which each of these steps was taken is not known, only that of the checkpoint.
  if (state && depends_on_time(resolved.train)) {
    learner.set_time_used(time_used(resolved.train, state->seconds));
  }
  const std::int64_t from = learner.steps_done();
  log_info(concat("replaying steps ", from + 1, " to ", number));
  BatchStream batches(train, resolved.train.batch_size, static_cast<std::uint64_t>(resolved.seed),
                      resolved.data, device, resolved.loss.draws_per_image);
  const auto inputs_at = [&](std::int64_t step) {
    return inputs_of_step(resolved, learner.objective(), learner.model().schedule(), batches, step,
                          {0, resolved.train.batch_size});
  };
  while (learner.steps_done() < number - 1) learner.step(inputs_at(learner.steps_done()));

  const StepInputs inputs = inputs_at(number - 1);
  const LossGradients loss = learner.loss_gradients(inputs);
  out.precision(9);
  out << "step " << number << "\nseed " << resolved.seed << "\nfrom_step " << from << "\n";
  for (const auto& [name, term] : loss.terms) out << name << " " << term.item<double>() << "\n";
  out << "gradient_norm " << gradient_norm(loss.gradients).item<double>() << "\nlearning_rate "
      << learning_rate_at(resolved.train, number - 1, learner.time_used()) << "\nlevels";
  for (const auto& [level, count] : count_levels(levels_of(inputs.drawn)))
    out << " " << level << ":" << count;
  out << "\n";
  if (!is_finite(loss)) print_what_is_not_finite(learner, inputs, loss, out);
}

}  // namespace cdm
