// SPDX-License-Identifier: MIT
#include "cdm/train/learner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>
#include <vector>

#include "cdm/model/layers.h"
#include "cdm/parallel.h"
#include "cdm/random.h"
#include "cdm/train/make_model.h"

namespace cdm {
namespace {

/// A model in training: a bf16 body where the configuration asks for it, all else in `type`.
std::shared_ptr<Denoiser> training_model(const RunConfig& config, const NetworkShape& shape,
                                         at::Device device, at::ScalarType type) {
  const bool bf16 = config.precision == "bf16";
  return make_model(config, shape, device, {type, bf16 ? at::kBFloat16 : type, false},
                    static_cast<std::uint64_t>(config.seed));
}

}  // namespace

NetworkShape network_shape(const RunConfig& config) {
  return {config.data.channels, config.data.image_size, NoiseSchedule(config.diffusion).levels()};
}

StepInputs draw_inputs(const RunConfig& config, const NoiseSchedule& schedule, std::int64_t step,
                       const at::Tensor& x0, const at::Tensor& labels) {
  const auto stream = [&](Purpose purpose) {
    return RandomStream{static_cast<std::uint64_t>(config.seed), purpose,
                        static_cast<std::uint64_t>(step)};
  };
  const std::int64_t batch = x0.size(0);
  StepInputs inputs;
  inputs.x0 = x0;
  inputs.t = draw_levels(schedule, config.model, config.loss, stream(Purpose::level), batch)
                 .to(x0.device());
  inputs.noise = normal(stream(Purpose::noise), x0.sizes(), x0.options());
  if (config.model.num_classes > 0) {
    const at::Tensor dropped =
        uniform(stream(Purpose::label_dropout), {batch}, x0.options().dtype(at::kFloat))
            .lt(config.loss.label_dropout);
    inputs.labels = at::where(dropped, at::full_like(labels, config.model.num_classes), labels);
  }
  return inputs;
}

void LossGradients::add(const LossGradients& other) {
  if (gradients.empty()) {
    *this = other;
    return;
  }
  at::_foreach_add_(gradients, other.gradients);
  terms.total.add_(other.terms.total);
  terms.ce.add_(other.terms.ce);
  terms.mse.add_(other.terms.mse);
  terms.accuracy.add_(other.terms.accuracy);
}

Learner::Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 at::ScalarType type)
    : config_(config),
      model_(training_model(config, shape, device, type)),
      average_(training_model(config, shape, device, type)),
      adam_(model_->network().parameters(), config.train) {
  model_->network().set_requires_grad(true);
}

LossGradients Learner::loss_gradients(const StepInputs& inputs) const {
  std::vector<at::Tensor> parameters;
  for (const auto& [name, weight] : model_->network().parameters()) {
    parameters.push_back(weight);
  }
  const std::uint64_t dropout_seed =
      derived_seed({static_cast<std::uint64_t>(config_.seed), Purpose::dropout,
                    static_cast<std::uint64_t>(step_)});
  const at::Device device = inputs.x0.device();
  const auto batch = static_cast<double>(inputs.x0.size(0));
  const std::vector<Piece> pieces =
      cut_batch(inputs.x0.size(0), device, config_.train.micro_batch_size);

  std::vector<LossGradients> sums(static_cast<std::size_t>(worker_count(pieces, device)));
  for_each_piece(pieces, device, [&](std::int64_t worker, const Piece& piece) {
    const auto rows = [&](const at::Tensor& all) {
      return all.defined() ? all.narrow(0, piece.first, piece.count) : all;
    };
    DropoutMasks masks(dropout_seed, piece.first);
    const LossTerms loss = training_loss(*model_, config_.loss, rows(inputs.x0), rows(inputs.t),
                                         rows(inputs.noise), rows(inputs.labels), &masks);
    const double share = static_cast<double>(piece.count) / batch;
    sums[static_cast<std::size_t>(worker)].add(
        {torch::autograd::grad({loss.total * share}, parameters),
         {loss.total.detach() * share, loss.ce * share, loss.mse * share, loss.accuracy * share}});
  });
  for (std::size_t i = 1; i < sums.size(); ++i) sums[0].add(sums[i]);
  return std::move(sums[0]);
}

StepReport Learner::step(const StepInputs& inputs) {
  const NamedTensors& weights = model_->network().parameters();
  const auto [gradients, loss] = loss_gradients(inputs);
  StepReport report;
  report.loss = loss;
  report.gradient_norm = gradient_norm(gradients);
  if (config_.train.clip_grad_norm > 0.0) {
    clip_gradients(gradients, report.gradient_norm, config_.train.clip_grad_norm);
  }
  report.learning_rate = learning_rate_at(config_.train, step_);
  adam_.step(gradients, report.learning_rate);
  update_average(average_->network().parameters(), weights, ema_decay_at(config_.train, step_));
  ++step_;
  return report;
}

Checkpoint Learner::checkpoint() const {
  Checkpoint checkpoint;
  checkpoint.step = step_;
  checkpoint.model = model_->network().parameters();
  checkpoint.ema = average_->network().parameters();
  checkpoint.exp_avg = adam_.first_moments();
  checkpoint.exp_avg_sq = adam_.second_moments();
  return checkpoint;
}

void Learner::restore(const Checkpoint& checkpoint, const std::string& source) {
  model_->network().load(checkpoint.model, source);
  average_->network().load(checkpoint.ema, source);
  adam_.load(checkpoint.exp_avg, checkpoint.exp_avg_sq, checkpoint.step);
  step_ = checkpoint.step;
}

}  // namespace cdm
