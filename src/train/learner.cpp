// SPDX-License-Identifier: MIT
#include "cdm/train/learner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/device/cuda_graphs.h"
#include "cdm/device/cuda_kernels.h"
#include "cdm/device/random_rows.h"
#include "cdm/inference/evaluators.h"
#include "cdm/train/make_model.h"
#include "train/fused_update.h"

namespace cdm {
namespace {

Model with_gradients(Model model) {
  model.network().set_requires_grad(true);
  return model;
}

NamedTensors copies_of(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

void copy_into(const NamedTensors& tensors, const NamedTensors& from, const std::string& source) {
  const auto fits = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.sizes() == b.second.sizes();
  };
  const auto is_statistic = [](const auto& entry) {
    return entry.first.starts_with(Anchor::kPrefix);  // the network has it already
  };
  if (from.size() < tensors.size() ||
      !std::equal(tensors.begin(), tensors.end(), from.begin(), fits) ||
      !std::all_of(from.begin() + static_cast<std::ptrdiff_t>(tensors.size()), from.end(),
                   is_statistic)) {
    throw UserError(concat(source, ": one of its averages is not of this network"));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].second.copy_(from[i].second);
}

}  // namespace

Learner::Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 at::ScalarType type, const ProcessGroup& group)
    : config_(config),
      model_(with_gradients(make_training_model(config, shape, device, type))),
      average_(make_training_model(config, shape, device, type)),
      objective_(make_objective(config.loss, model_.schedule())),
      optimizer_(model_.network().parameters(), config.train),
      group_(group),
      gradients_(model_, *objective_, config.train.micro_batch_size, group),
      counts_(at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(device))),
      time_used_there_(at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device))) {
  for (std::int64_t i = 1; i < average_count(config.train); ++i) {
    more_averages_.push_back(copies_of(average_.network().parameters()));
  }
  model_.network().cast_together(group.is_alone());  // else gradients would be summed at the end
  if (device.is_cuda() && own_cuda_kernels() && fused_update_works(device)) use_fused_update();
  if (use_cuda_graphs(config.cuda_graphs, device)) {
    if (group.is_alone()) {
      record_with(cuda_graphs(device));
    } else {
      average_ = average_.with_evaluator(parallel_evaluator());
      log_info("cuda_graphs: steps of a run of several processes are not recorded");
    }
  }
}

Learner::~Learner() = default;

std::uint64_t Learner::dropout_seed() const {
  return derived_seed({static_cast<std::uint64_t>(config_.seed), Purpose::dropout,
                       static_cast<std::uint64_t>(step_)});
}

void Learner::set_anchor(const NamedTensors& statistics) {
  if (!has_anchor(config_.model)) return;
  for (const Model* const model : {&model_, &average_}) {
    NamedTensors state = model->network().parameters();
    state.insert(state.end(), statistics.begin(), statistics.end());
    model->network().load(state, "the training images");
  }
}

LossGradients Learner::loss_gradients(const StepInputs& inputs) {
  return gradients_(inputs, dropout_seed());
}

void Learner::set_time_used(double share) {
  time_used_ = share;
  time_used_there_.fill_(share);
}

StepReport Learner::step(const StepInputs& inputs) {
  StepReport report = update(loss_gradients(inputs));
  report.learning_rate = learning_rate_at(config_.train, step_, time_used_);
  ++step_;
  return report;
}

void Learner::take_inputs_from(DrawInputs draw, bool by_device) {
  draw_ = std::move(draw);
  draws_by_device_ = by_device;
}

void Learner::record_with(MakeRecorder make_recorder) {
  whole_.emplace([this](const Tensors&) -> Tensors { return {whole_step()}; }, make_recorder);
  gradients_.record_with(make_recorder);
  make_recorder_ = std::move(make_recorder);
}

bool Learner::forget_recordings() {
  if (!make_recorder_) return false;
  record_with(make_recorder_);
  average_ = average_.with_evaluator(evaluator_for(config_, counts_.device()));
  return true;
}

bool Learner::records_whole_step() const {
  return whole_ && !whole_->failed() && draws_by_device_ && (counts_.is_cpu() || fused_) &&
         gradients_.takes_at_once(config_.train.batch_size, counts_.device());
}

StepReport Learner::step() {
  if (!records_whole_step()) return step(draw_(step_));
  // The next replay overwrites the memory of these results, and the report must remain valid.
  const at::Tensor values = (*whole_)({})[0].clone();
  StepReport report;
  std::int64_t i = 0;
  report.terms.emplace_back("loss", values[i++]);
  for (const std::string& name : objective_->terms()) report.terms.emplace_back(name, values[i++]);
  report.gradient_norm = values[i++];
  report.skipped = values[i++];
  report.learning_rate = learning_rate_at(config_.train, step_, time_used_);
  ++step_;
  return report;
}

at::Tensor Learner::whole_step() {
  const StreamIndex step(counts_.select(0, 0));
  const StepInputs inputs = draw_(step);
  const at::Tensor dropout =
      random_rows(RandomStream{static_cast<std::uint64_t>(config_.seed), Purpose::dropout, step},
                  Purpose::dropout, inputs.first_row, counts_.device());
  const StepReport report = update(gradients_.at_once(inputs, dropout));
  Tensors values = values_of(report.terms);
  values.push_back(report.gradient_norm);
  values.push_back(report.skipped);
  for (at::Tensor& value : values) value = value.to(at::kDouble);
  return at::stack(values);
}

StepReport Learner::update(const LossGradients& loss) {
  StepReport report;
  report.terms = loss.terms;
  if (fused_) {
    FusedUpdate::Result result = (*fused_)(loss.gradients, loss["loss"]);
    report.gradient_norm = std::move(result.gradient_norm);
    report.skipped = std::move(result.skipped);
    return report;
  }
  report.gradient_norm = gradient_norm(loss.gradients);
  report.skipped = is_not_finite(loss["loss"] + report.gradient_norm);
  if (config_.train.clip_grad_norm > 0.0) {
    clip_gradients(loss.gradients, report.gradient_norm, config_.train.clip_grad_norm);
  }
  optimizer_.step(loss.gradients, learning_rate_at(config_.train, step_, time_used_),
                  report.skipped);
  const NamedTensors& weights = model_.network().parameters();
  update_average(average_.network().parameters(), weights, ema_decay_at(config_.train, step_),
                 report.skipped);
  for (std::size_t i = 0; i < more_averages_.size(); ++i) {
    const auto number = static_cast<std::int64_t>(i) + 1;
    update_average(more_averages_[i], weights, ema_decay_at(config_.train, step_, number),
                   report.skipped);
  }
  counts_.select(0, 0).add_(1);
  counts_.select(0, 1).add_(report.skipped.to(at::kLong));
  return report;
}

void Learner::use_fused_update() {
  FusedUpdate::State state;
  const NamedTensors& weights = model_.network().parameters();
  const NamedTensors second_moments = optimizer_.second_moments();
  state.weights = values_of(weights);
  state.averages = {values_of(average_.network().parameters())};
  for (const NamedTensors& average : more_averages_) state.averages.push_back(values_of(average));
  state.counts = counts_;
  state.time_used = time_used_there_;
  state.muon = optimizer_.muon();
  for (const auto& [name, first_moment] : optimizer_.first_moments()) {
    const at::Tensor second_moment = find_tensor(second_moments, name);
    state.first_moments.push_back(second_moment.defined() ? first_moment : at::Tensor());
    state.second_moments.push_back(second_moment);
  }
  for (const auto& [name, value] : weights) state.decays.push_back(weight_decays(name, value));
  fused_ = std::make_unique<FusedUpdate>(std::move(state), config_.train);
}

TrainingState Learner::state() const {
  TrainingState state;
  state.step = step_;
  state.skipped = steps_skipped();
  state.model = model_.network().state();
  state.ema = average_.network().state();
  state.more_emas = more_averages_;
  if (const Anchor* const anchor = model_.network().anchor()) {
    for (NamedTensors& average : state.more_emas) {
      average.insert(average.end(), anchor->statistics().begin(), anchor->statistics().end());
    }
  }
  state.exp_avg = optimizer_.first_moments();
  state.exp_avg_sq = optimizer_.second_moments();
  return state;
}

void Learner::restore(const TrainingState& state, const std::string& source) {
  model_.network().load(state.model, source);
  average_.network().load(state.ema, source);
  if (state.more_emas.size() != more_averages_.size()) {
    throw UserError(concat(source, ": has ", 1 + state.more_emas.size(),
                           " moving averages of the weights, and the configuration ",
                           1 + more_averages_.size()));
  }
  for (std::size_t i = 0; i < more_averages_.size(); ++i) {
    copy_into(more_averages_[i], state.more_emas[i], source);
  }
  optimizer_.load(state.exp_avg, state.exp_avg_sq, state.step - state.skipped);
  step_ = state.step;
  counts_.copy_(at::tensor({state.step, state.skipped}, at::kLong));
}

void Learner::share_state() {
  if (group_.is_alone()) return;
  TrainingState shared = state();
  const at::Tensor counts = at::tensor({shared.step, shared.skipped}, at::kLong);
  group_.broadcast(counts);
  std::vector<const NamedTensors*> all = {&shared.model, &shared.ema, &shared.exp_avg,
                                          &shared.exp_avg_sq};
  for (const NamedTensors& average : shared.more_emas) all.push_back(&average);
  for (const NamedTensors* tensors : all) {
    for (const auto& [name, tensor] : *tensors) group_.broadcast(tensor.detach());
  }
  shared.step = counts[0].item<std::int64_t>();
  shared.skipped = counts[1].item<std::int64_t>();
  restore(shared, "the state of rank 0");
}

}  // namespace cdm
