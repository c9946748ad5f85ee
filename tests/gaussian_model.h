// SPDX-License-Identifier: MIT
// Models whose network is exact: it returns the true logits, or the true expected noise, of
// Gaussian data. Images of class y are N(means[y], width^2 I). At a level with signal a and sigma s
// they are N(a means[y], (a^2 width^2 + s^2) I).
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <memory>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/model.h"

namespace cdm::test {

/// The schedule of that kind with steps T. For the linear one, T must be larger than 20.
inline NoiseSchedule schedule_of(ScheduleKind kind, std::int64_t T) {
  DiffusionConfig config = RunConfig().diffusion;
  config.schedule = kind;
  config.steps = T;
  config.beta_start = 0.1 / static_cast<double>(T);
  config.beta_end = 20.0 / static_cast<double>(T);
  return NoiseSchedule(config);
}

class GaussianNetwork final : public Network {
 public:
  /// One mean makes an unconditional network. Of several, the last is that of the null class.
  GaussianNetwork(Prediction predicts, const NoiseSchedule& schedule,
                  const std::vector<double>& means, double width)
      : Network(predicts, {1, 2, schedule.levels()}, static_cast<std::int64_t>(means.size()) - 1),
        means_(at::tensor(means, options())) {
    const at::Tensor t = at::arange(schedule.levels(), at::kLong);
    signal_ = schedule.signal(t, means_).flatten();
    sigma_ = schedule.sigma(t, means_).flatten();
    variance_ = signal_.square() * (width * width) + sigma_.square();
  }

  at::TensorOptions options() const override {
    return at::TensorOptions().dtype(at::kDouble).device(at::kCPU);
  }

  /// Mean of the classes `labels` [B] at levels t [B], and variance at levels t: [B].
  at::Tensor mean(const at::Tensor& t, const at::Tensor& labels) const {
    return signal_.index_select(0, t) * mean_of(labels);
  }
  at::Tensor variance(const at::Tensor& t) const { return variance_.index_select(0, t); }

 protected:
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                     DropoutMasks* /*masks*/) const override {
    const at::Tensor& labels = given.labels;
    if (predicts() == Prediction::logits) return logits(x, labels);
    const auto per_image = [](const at::Tensor& a) { return a.reshape({-1, 1, 1, 1}); };
    return per_image(sigma_.index_select(0, t) / variance(t)) * (x - per_image(mean(t, labels)));
  }

 private:
  /// log p_t(x) plus a constant, [B, K].
  at::Tensor logits(const at::Tensor& x, const at::Tensor& labels) const {
    const at::Tensor rows = x.flatten(1);
    const auto d = static_cast<double>(rows.size(1));
    const at::Tensor means = signal_ * mean_of(labels).unsqueeze(1);  // [B or 1, K]
    const at::Tensor square_distance =
        rows.square().sum(1, true) - 2.0 * means * rows.sum(1, true) + d * means.square();
    return -0.5 * square_distance / variance_ - 0.5 * d * variance_.log();
  }

  at::Tensor mean_of(const at::Tensor& labels) const {
    return labels.defined() ? means_.index_select(0, labels) : means_;
  }

  at::Tensor means_;                      // [classes]
  at::Tensor signal_, sigma_, variance_;  // [K]
};

inline Model gaussian_model(Prediction predicts, const NoiseSchedule& schedule,
                            const std::vector<double>& means, double width) {
  return {std::make_shared<GaussianNetwork>(predicts, schedule, means, width), schedule};
}

}  // namespace cdm::test
