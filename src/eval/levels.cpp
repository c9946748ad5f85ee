// SPDX-License-Identifier: MIT
#include "cdm/eval/levels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <numeric>

#include "cdm/core/for_each_batch.h"
#include "cdm/core/tensors.h"
#include "cdm/data/batches.h"
#include "cdm/device/random.h"

namespace cdm {
namespace {

at::TensorOptions real() { return at::TensorOptions().dtype(at::kDouble); }

/// The mean of each image: float64 [B], CPU.
at::Tensor per_image(const at::Tensor& values) {
  return values.flatten(1).to(at::kDouble).mean(1).to(at::kCPU);
}

/// Adds the classification of images x, whose true levels are t, to the sums.
void add_decisions(LevelStatistics& sums, const Density& density, const at::Tensor& x,
                   const at::Tensor& t, const at::Tensor& labels) {
  const at::Tensor log_posterior = density.log_posterior(x, labels).to(at::kCPU);
  const auto [best, decided] = log_posterior.max(1);
  const at::Tensor confidence = best.exp();
  const at::Tensor correct = decided.eq(t).to(at::kDouble);
  sums.ce.index_add_(0, t, -log_posterior.gather(1, t.unsqueeze(1)).squeeze(1));
  sums.accuracy.index_add_(0, t, correct);
  const auto row = [&](const at::Tensor& levels) {
    return levels.div(sums.confusion_group, "floor");
  };
  sums.confusion.view({-1}).index_add_(0, row(t) * sums.confusion.size(0) + row(decided),
                                       at::ones_like(t));
  const at::Tensor bin = confidence.mul(static_cast<double>(kCalibrationBins))
                             .to(at::kLong)
                             .clamp(0, kCalibrationBins - 1);
  sums.bin_count.index_add_(0, bin, at::ones_like(confidence));
  sums.bin_confidence.index_add_(0, bin, confidence);
  sums.bin_correct.index_add_(0, bin, correct);
}

/// How often the sequence of levels i + r N modulo K, r = 0, 1, ..., has begun anew by r =
/// `repeat`. It begins anew every K / gcd(N, K) repeats.
std::int64_t number_of_cycles(std::int64_t repeat, std::int64_t N, std::int64_t K) {
  return repeat / (K / std::gcd(N, K));
}

/// The mean over all images of levels first .. last, from the mean and number of images per level.
double mean_over(const at::Tensor& means, const at::Tensor& count, std::int64_t first,
                 std::int64_t last) {
  const at::Tensor n = count.narrow(0, first, last - first + 1).to(at::kDouble);
  const at::Tensor seen = means.narrow(0, first, last - first + 1).mul(n);
  return (seen.where(n.gt(0), at::zeros({}, real())).sum() / n.sum()).item<double>();
}

}  // namespace

double LevelStatistics::mean_ce() const { return mean_over(ce, count, 0, count.size(0) - 1); }
double LevelStatistics::mean_accuracy() const {
  return mean_over(accuracy, count, 0, count.size(0) - 1);
}
double LevelStatistics::mean_mse() const { return mean_over(mse, count, 1, count.size(0) - 2); }

double LevelStatistics::calibration_error() const {
  return ((bin_confidence - bin_correct).abs().sum() / bin_count.sum()).item<double>();
}

LevelStatistics level_statistics(const Model& model, const LevelOptions& options,
                                 const at::Tensor& images, const at::Tensor& labels,
                                 const std::function<void(std::int64_t)>& on_progress) {
  const c10::NoGradGuard no_grad;
  const NoiseSchedule& schedule = model.schedule();
  const at::TensorOptions network = model.network().options();
  const at::ScalarType type = c10::typeMetaToScalarType(network.dtype());
  const std::int64_t K = schedule.levels();
  const std::int64_t total = images.size(0);

  LevelStatistics sums;
  sums.count = at::zeros({K}, at::kLong);
  sums.mse = at::zeros({K}, real());
  if (model.has_density()) {
    sums.ce = at::zeros({K}, real());
    sums.accuracy = at::zeros({K}, real());
    sums.confusion_group = (K + kMostConfusionRows - 1) / kMostConfusionRows;
    const std::int64_t rows = (K + sums.confusion_group - 1) / sums.confusion_group;
    sums.confusion = at::zeros({rows, rows}, at::kLong);
    for (at::Tensor* const bins : {&sums.bin_count, &sums.bin_confidence, &sums.bin_correct}) {
      *bins = at::zeros({kCalibrationBins}, real());
    }
  }
  for (std::int64_t repeat = 0; repeat < options.repeats; ++repeat) {
    for_each_batch(total, options.batch_size, [&](std::int64_t first, std::int64_t batch) {
      const at::Tensor x0 =
          to_model_scale(images.narrow(0, first, batch).to(network.device()), type,
                         options.dequantization, {options.seed, Purpose::dequantize}, first);
      const at::Tensor classes =
          labels.defined() ? labels.narrow(0, first, batch).to(network.device()) : at::Tensor();
      const std::int64_t number = first + repeat * total;
      const std::int64_t shift = number_of_cycles(repeat, total, K);
      const at::Tensor t =
          at::arange(number + shift, number + shift + batch, at::kLong).remainder(K);
      const at::Tensor t_there = t.to(network.device());
      const at::Tensor noise = evaluation_noise(options.seed, number, x0);
      const at::Tensor x_t = schedule.add_noise(x0, t_there, noise);
      sums.count.index_add_(0, t, at::ones_like(t));
      const at::Tensor eps = model.predict_noise(x_t, t_there, classes);
      sums.mse.index_add_(0, t, per_image((eps - noise).square()));
      if (model.has_density()) add_decisions(sums, model.density(), x_t, t, classes);
      if (on_progress) on_progress(number + batch);
    });
  }
  // Sums become means. They are NaN for a level without images.
  sums.mse.div_(sums.count);
  if (model.has_density()) {
    sums.ce.div_(sums.count);
    sums.accuracy.div_(sums.count);
  }
  return sums;
}

std::vector<DenoisingError> denoising_errors(const Model& model,
                                             const std::vector<std::int64_t>& levels,
                                             const LevelOptions& options, const at::Tensor& images,
                                             const at::Tensor& labels,
                                             const std::function<void(std::int64_t)>& on_progress) {
  const c10::NoGradGuard no_grad;
  const NoiseSchedule& schedule = model.schedule();
  const std::int64_t total = images.size(0);
  std::int64_t done = 0;
  std::vector<DenoisingError> errors;
  for (const std::int64_t level : levels) {
    double sum = 0.0;
    for_each_batch(total, options.batch_size, [&](std::int64_t first, std::int64_t batch) {
      const at::Tensor x0 = images.narrow(0, first, batch);
      const at::Tensor classes = rows_of(labels, first, batch);
      const at::Tensor t = at::full({batch}, level, x0.options().dtype(at::kLong));
      const at::Tensor noise = evaluation_noise(options.seed, first, x0);
      const at::Tensor eps = model.predict_noise(schedule.add_noise(x0, t, noise), t, classes);
      sum += per_image((eps - noise).square()).sum().item<double>();
      done += batch;
      if (on_progress) on_progress(done);
    });
    const double mse = sum / static_cast<double>(total);
    const double sigma = schedule.sigma(level);
    const double to_image = sigma / schedule.signal(level);
    errors.push_back({level, sigma, mse, to_image * to_image * mse});
  }
  return errors;
}

at::Tensor evaluation_noise(std::uint64_t seed, std::int64_t first, const at::Tensor& like) {
  return normal({seed, Purpose::noise}, like.sizes(), like.options(), first);
}

at::Tensor denoise(const Model& model, const at::Tensor& x_t, std::int64_t t,
                   const at::Tensor& labels) {
  const at::Tensor levels = at::full({x_t.size(0)}, t, x_t.options().dtype(at::kLong));
  const at::Tensor eps = model.predict_noise(x_t, levels, labels);
  return (x_t - model.schedule().sigma(t) * eps) / model.schedule().signal(t);
}

}  // namespace cdm
