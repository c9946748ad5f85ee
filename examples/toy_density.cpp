// SPDX-License-Identifier: MIT
// Trains a classification diffusion model on a density that is known, and compares its log-density
// and its samples with the truth. An example of the library cdm: see examples/README.md.
//
// The data are points of the plane, two Gaussians of equal weight:
//   p(x) = 1/2 N(x; m, s^2 I) + 1/2 N(x; -m, s^2 I),   m = (0.6, 0.3), s = 0.15.
#include <ATen/ATen.h>
#include <cdm/sample/sample.h>
#include <cdm/train/learner.h>
#include <cdm/train/make_model.h>

#include <cmath>
#include <iostream>
#include <numbers>

namespace {

constexpr double kWidth = 0.15;  // s

at::Tensor centre() { return at::tensor({0.6, 0.3}, at::kFloat).view({2, 1, 1}); }  // m

/// Points as the library takes them: images [count, 2, 1, 1], of two channels and one pixel.
at::Tensor draw_points(std::int64_t count) {
  const at::Tensor sign = at::randint(0, 2, {count, 1, 1, 1}).mul(2.0).sub(1.0);
  return sign * centre() + kWidth * at::randn({count, 2, 1, 1});
}

/// log p(x) in nats, float64 [B].
at::Tensor exact_log_prob(const at::Tensor& x) {
  const auto gaussian = [&](const at::Tensor& mean) {
    const at::Tensor distance = (x - mean).to(at::kDouble).flatten(1).square().sum(1);
    return distance / (-2.0 * kWidth * kWidth) - std::log(2.0 * std::numbers::pi * kWidth * kWidth);
  };
  return at::logaddexp(gaussian(centre()), gaussian(-centre())) - std::numbers::ln2;
}

}  // namespace

int main() {
  cdm::RunConfig config;  // the keys of docs/configuration.md, with their defaults
  config.data.channels = 2;
  config.data.image_size = 1;
  config.diffusion.steps = 50;  // T
  config.diffusion.beta_end = 0.25;
  config.model.kind = cdm::NetworkKind::mlp;
  config.model.channels = 64;
  config.model.res_blocks = 3;
  config.loss.ce_weight = 0.1;  // of the cross entropy, which the density comes from
  config.train.learning_rate = 2e-3;
  config.train.warmup = 100;
  config.train.decay_every = 2000;
  config.train.ema_decay = 0.995;
  config.train.ema_start = 0;
  at::manual_seed(1);

  cdm::Learner learner(config, cdm::network_shape(config), at::kCPU);
  const cdm::NoiseSchedule& schedule = learner.model().schedule();
  for (std::int64_t step = 0; step < 3000; ++step) {
    learner.step(
        cdm::draw_inputs(config, learner.objective(), schedule, step, draw_points(256), {}));
  }
  const cdm::Model& model = learner.average();  // the moving average of the weights

  const at::Tensor x = draw_points(2000);
  const at::Tensor data_level = at::zeros({x.size(0)}, at::kLong);
  const at::Tensor error = model.density().log_prob(x, data_level) - exact_log_prob(x);
  const double mean_error = error.abs().mean().item<double>();
  std::cout << "mean error of log p_0: " << mean_error << " nats, " << mean_error / 2.0
            << " nats per dimension\n";

  config.sample.steps = 50;
  const at::Tensor samples =
      cdm::sample(model, config.sample, at::randn_like(x), {}, {}).flatten(1);
  const at::Tensor moments = samples.t().mm(samples) / samples.size(0);  // E[x x^T], [2, 2]
  const at::Tensor m = centre().flatten(1);
  const at::Tensor expected = m.mm(m.t()) + kWidth * kWidth * at::eye(2);
  const double difference = (moments - expected).abs().max().item<double>();
  std::cout << "largest error of the samples' second moments: " << difference << "\n";
  return mean_error < 0.15 && difference < 0.05 ? 0 : 1;  // this example is also a test
}
