// SPDX-License-Identifier: MIT
#include "cdm/train/learner.h"

#include <ATen/Context.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>
#include <vector>

#include "cdm/random.h"

namespace cdm {
namespace {

Classifier make_classifier(const RunConfig& config, const NetworkShape& shape, at::Device device,
                           at::ScalarType type) {
  std::shared_ptr<Network> network =
      make_network(config.model, shape, static_cast<std::uint64_t>(config.seed));
  network->to(device, type);
  if (config.precision == "bf16") network->set_body_type(at::kBFloat16);
  return {std::move(network), NoiseSchedule(config.diffusion)};
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
  inputs.t = integers(stream(Purpose::level), batch, schedule.levels()).to(x0.device());
  inputs.noise = normal(stream(Purpose::noise), x0.sizes(), x0.options());
  if (config.model.num_classes > 0) {
    const at::Tensor dropped =
        uniform(stream(Purpose::label_dropout), {batch}, x0.options().dtype(at::kFloat))
            .lt(config.loss.label_dropout);
    inputs.labels = at::where(dropped, at::full_like(labels, config.model.num_classes), labels);
  }
  return inputs;
}

Learner::Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 at::ScalarType type)
    : config_(config),
      classifier_(make_classifier(config, shape, device, type)),
      average_(make_classifier(config, shape, device, type)),
      adam_(classifier_.network().parameters(), config.train) {
  classifier_.network().set_requires_grad(true);
  classifier_.network().set_training(true);
}

StepReport Learner::step(const StepInputs& inputs) {
  const NamedTensors& weights = classifier_.network().parameters();
  if (config_.model.dropout > 0.0) {
    at::manual_seed(derived_seed({static_cast<std::uint64_t>(config_.seed), Purpose::dropout,
                                  static_cast<std::uint64_t>(step_)}));
  }
  StepReport report;
  report.loss =
      cdm_loss(classifier_, config_.loss, inputs.x0, inputs.t, inputs.noise, inputs.labels);
  std::vector<at::Tensor> parameters;
  for (const auto& [name, weight] : weights) parameters.push_back(weight);
  const std::vector<at::Tensor> gradients = torch::autograd::grad({report.loss.total}, parameters);
  report.loss.total = report.loss.total.detach();
  report.gradient_norm = gradient_norm(gradients);
  if (config_.train.clip_grad_norm > 0.0) {
    clip_gradients(gradients, report.gradient_norm, config_.train.clip_grad_norm);
  }
  report.learning_rate = learning_rate_at(config_.train, step_);
  adam_.step(gradients, report.learning_rate);
  update_average(average_.network().parameters(), weights, ema_decay_at(config_.train, step_));
  ++step_;
  return report;
}

Checkpoint Learner::checkpoint() const {
  Checkpoint checkpoint;
  checkpoint.step = step_;
  checkpoint.model = classifier_.network().parameters();
  checkpoint.ema = average_.network().parameters();
  checkpoint.exp_avg = adam_.first_moments();
  checkpoint.exp_avg_sq = adam_.second_moments();
  return checkpoint;
}

void Learner::restore(const Checkpoint& checkpoint, const std::string& source) {
  classifier_.network().load(checkpoint.model, source);
  average_.network().load(checkpoint.ema, source);
  adam_.load(checkpoint.exp_avg, checkpoint.exp_avg_sq, checkpoint.step);
  step_ = checkpoint.step;
}

}  // namespace cdm
