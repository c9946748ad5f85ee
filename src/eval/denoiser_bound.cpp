// SPDX-License-Identifier: MIT
#include "cdm/eval/denoiser_bound.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "cdm/core/for_each_batch.h"
#include "cdm/core/tensors.h"
#include "cdm/core/text.h"
#include "cdm/data/batches.h"
#include "cdm/device/random.h"
#include "cdm/eval/levels.h"

namespace cdm {
namespace {

double softplus(double value) {
  return value > 0.0 ? value + softplus(-value) : std::log1p(std::exp(value));
}
double sigmoid(double value) { return 1.0 / (1.0 + std::exp(-value)); }

/// The integral over the log-SNR, for a schedule.
class Integral {
 public:
  explicit Integral(const NoiseSchedule& schedule) {
    // Without such a level, the fixed denoisers share the integral between them.
    const std::int64_t count = schedule.reference_level() - 1;
    if (count == 0) return;
    first_ = schedule.log_snr(1);
    last_ = schedule.log_snr(count);
    cumulative_ = at::cumsum(schedule.log_snr_weights().narrow(0, 1, count), 0);
  }

  /// Whether the schedule has levels at which the model can denoise.
  bool has_levels() const { return cumulative_.defined(); }
  /// first log-SNR minus last one: the sum of the weights of the trapezoidal rule.
  double length() const { return first_ - last_; }

  /// The levels at the fractions `u` in [0, 1) of the length, int64. A level has the share of its
  /// weight.
  at::Tensor levels_at(const at::Tensor& u) const {
    return at::searchsorted(cumulative_, u * length(), /*out_int32=*/false, /*right=*/true)
        .clamp_max(cumulative_.size(0) - 1)
        .add(1);
  }

  /// All of the bound on -log p but 1/2 times the integral of the squared error, for images with
  /// squared norms ||x_0||^2, float64 [B].
  at::Tensor without_error(const at::Tensor& square_norm, double d) const {
    const double constant = 0.5 * d * std::log(2.0 * std::numbers::pi * std::numbers::e);
    const double closed_form = -0.5 * d * (softplus(first_) - softplus(last_));
    const double beyond_first = 0.5 * d * softplus(-first_);
    const at::Tensor beyond_last = 0.5 * sigmoid(last_) * (square_norm - d);
    return beyond_last + (constant + closed_form + beyond_first);
  }

 private:
  double first_ = 0.0, last_ = 0.0;  // log-SNR of the levels 1 and R - 1
  at::Tensor cumulative_;            // float64 [R - 1]: sums of the weights of levels 1, 2, ...
};

/// Where images 0 .. count-1 look at the integral: float64 [count], fractions in [0, 1). Multiples
/// of the golden ratio are spread evenly, for any count; all are shifted by one random number.
at::Tensor spread_evenly(std::int64_t count, std::uint64_t seed) {
  const RandomStream stream = {seed, named_purpose("levels of the denoiser's bound")};
  const double shift = uniform(stream, {1}, at::kDouble).item<double>();
  return (at::arange(count, at::kDouble) * (std::numbers::phi - 1.0) + shift).remainder(1.0);
}

/// Roughly the share of ||eps||^2 that is left in the error of a good denoiser at levels t: float64
/// [B], CPU. It need not be exact: any share leaves the mean as it is. This is sigmoid(log-SNR)^2.
at::Tensor share_left(const NoiseSchedule& schedule, const at::Tensor& t) {
  const at::Tensor like = at::zeros({}, at::kDouble);
  const at::Tensor signal = schedule.signal(t.to(at::kCPU), like).flatten().square();
  const at::Tensor noise = schedule.sigma(t.to(at::kCPU), like).flatten().square();
  return (signal / (signal + noise)).square();
}

/// The sum over each image: float64 [B], CPU.
at::Tensor per_image(const at::Tensor& values) {
  return values.flatten(1).to(at::kDouble).sum(1).to(at::kCPU);
}

}  // namespace

DenoiserBound denoiser_bound(const Model& model, const BoundOptions& options,
                             const at::Tensor& images, const at::Tensor& labels,
                             const std::function<void(std::int64_t)>& on_progress,
                             const ProcessGroup& group) {
  const c10::NoGradGuard no_grad;
  const NoiseSchedule& schedule = model.schedule();
  const Integral integral(schedule);
  const at::TensorOptions network = model.network().options();
  const at::ScalarType type = c10::typeMetaToScalarType(network.dtype());
  const std::int64_t total = images.size(0);
  // Images of other processes remain 0, so that the sum over processes has all of them.
  DenoiserBound bound = {at::zeros({total}, at::kDouble), spread_evenly(total, options.seed)};
  const auto visit = [&](std::int64_t first, std::int64_t count) {
    const at::Tensor x0 =
        to_model_scale(images.narrow(0, first, count).to(network.device()), type,
                       options.dequantization, {options.seed, Purpose::dequantize}, first);
    const at::Tensor classes =
        labels.defined() ? labels.narrow(0, first, count).to(network.device()) : at::Tensor();
    const at::Tensor where = bound.place.narrow(0, first, count);
    const auto d = static_cast<double>(images[0].numel());
    at::Tensor error = at::zeros({count}, at::kDouble);
    for (std::int64_t k = 0; integral.has_levels() && k < options.levels; ++k) {
      const at::Tensor u = (where + static_cast<double>(k)) / static_cast<double>(options.levels);
      const at::Tensor t = integral.levels_at(u).to(network.device());
      const at::Tensor noise = evaluation_noise(options.seed, first + k * total, x0);
      const at::Tensor eps = model.predict_noise(schedule.add_noise(x0, t, noise), t, classes);
      // At little noise, no denoiser predicts eps, and the error is nearly ||eps||^2, whose mean d
      // is known. Without its fluctuation, the estimates scatter less; their mean stays the same.
      const at::Tensor fluctuation = per_image(noise.square()) - d;
      error += per_image((eps - noise).square()) - share_left(schedule, t) * fluctuation;
    }
    error *= integral.length() / static_cast<double>(options.levels);
    bound.log_prob.narrow(0, first, count)
        .copy_(-(integral.without_error(per_image(x0.square()), d) + 0.5 * error));
    if (on_progress) on_progress(first + count);
  };
  for_each_batch(total, options.batch_size, visit, group.rank(), group.size());
  group.sum(bound.log_prob);
  return bound;
}

MeanEstimate estimate_mean_by_place(const at::Tensor& values, const at::Tensor& place) {
  MeanEstimate mean = estimate_mean(values);
  const std::int64_t count = values.size(0);
  if (count < 2) return mean;
  const at::Tensor in_order = values.to(at::kDouble).index_select(0, place.argsort());
  const at::Tensor steps = in_order.narrow(0, 1, count - 1) - in_order.narrow(0, 0, count - 1);
  // Two values of one distribution differ by twice its variance, in the mean of squares.
  const double variance = 0.5 * steps.square().mean().item<double>();
  return interval_95(mean.mean, std::sqrt(variance / static_cast<double>(count)));
}

bool has_levels_to_denoise(const NoiseSchedule& schedule) { return schedule.levels() > 2; }

std::string warning_of_gap(const MeanEstimate& gap) {
  constexpr double kWide = 0.1;
  const std::string size = fixed(std::abs(gap.mean), 4);
  if (gap.high < 0.0) {
    return concat(
        "the log-density claims ", size,
        " bits/dim more than the denoiser proves: the density is not normalised, the "
        "denoiser is worse than the density, or the finest noise level hides the grain of "
        "the data; quote the denoiser's bound");
  }
  if (gap.low > kWide) {
    return concat("the log-density claims ", size,
                  " bits/dim less than the denoiser proves: the network has not yet learnt the "
                  "constants between its levels; longer training may close the gap");
  }
  return "";
}

}  // namespace cdm
