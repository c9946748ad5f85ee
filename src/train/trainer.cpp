// SPDX-License-Identifier: MIT
#include "cdm/train/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cdm/device.h"
#include "cdm/error.h"
#include "cdm/eval/nll.h"
#include "cdm/io/image.h"
#include "cdm/log.h"
#include "cdm/memory_advice.h"
#include "cdm/sample/generate.h"
#include "cdm/text.h"
#include "cdm/train/stop_signal.h"

namespace cdm {
namespace {

constexpr std::int64_t kScoreBatch = 128;

RunDir prepared(const RunDir& run) {
  std::filesystem::create_directories(run.root());
  return run;
}

/// `count` images (0 = all), evenly spread over the data set, which may be sorted by class.
Dataset spread_subset(Dataset dataset, std::int64_t count) {
  const std::int64_t size = dataset.size();
  if (count == 0 || count >= size) return dataset;
  const at::Tensor chosen = at::arange(count, at::kLong).mul_(size).div_(count, "floor");
  dataset.images = dataset.images.index_select(0, chosen);
  if (dataset.labels.defined()) dataset.labels = dataset.labels.index_select(0, chosen);
  return dataset;
}

/// What is scored in the loop; nothing when that never happens, as with a model without a density.
std::optional<Dataset> test_images(const RunConfig& config) {
  if (config.train.nll_every == 0 || config.model.kind == "ddm_unet") return std::nullopt;
  Dataset test = spread_subset(load_dataset(config.data, Split::test), config.train.nll_images);
  resolve(config, test);  // labels that suit the model?
  return test;
}

StepInputs first_of(const StepInputs& inputs, std::int64_t images) {
  const auto first = [&](const at::Tensor& all) {
    return all.defined() ? all.narrow(0, 0, images) : all;
  };
  return {first(inputs.x0), first(inputs.t), first(inputs.noise), first(inputs.labels)};
}

std::string metrics_line(const Metrics& metrics) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : metrics) {
    std::ostringstream number;
    number.precision(4);
    number << value;
    parts.push_back(concat(name, " ", number.str()));
  }
  return join(parts, ", ");
}

}  // namespace

RunConfig resolve(const RunConfig& config, const Dataset& dataset) {
  RunConfig resolved = config;
  resolved.data.image_size = dataset.image_size();
  resolved.data.channels = dataset.channels();
  if (config.train.sample_every > 0) {
    check_sampling(NoiseSchedule(config.diffusion), config.sample);
  }
  const std::int64_t classes = config.model.num_classes;
  if (classes > 0 && !dataset.labels.defined()) {
    throw UserError(concat("model.num_classes = ", classes, ": ", dataset.description,
                           " has no labels; set it to 0"));
  }
  if (classes > 0 && dataset.labels.max().item<std::int64_t>() >= classes) {
    throw UserError(concat("model.num_classes = ", classes, ": ", dataset.description,
                           " has labels up to ", dataset.labels.max().item<std::int64_t>(),
                           ", so at least ", dataset.labels.max().item<std::int64_t>() + 1,
                           " classes are needed"));
  }
  return resolved;
}

Trainer::Trainer(const RunConfig& config, const RunDir& run, at::Device device)
    : Trainer(config, run, device, load_dataset(config.data, Split::train)) {}

Trainer::Trainer(const RunConfig& config, const RunDir& run, at::Device device,
                 const Dataset& train)
    : config_(resolve(config, train)),
      device_(device),
      test_(test_images(config_)),
      learner_(config_, network_shape(config_), device),
      batches_(train, config_.train.batch_size, static_cast<std::uint64_t>(config_.seed),
               config_.data.horizontal_flip, device),
      run_(prepared(run)),
      lock_(run_) {
  if (run_.has_config()) {
    const std::vector<std::string> changes = forbidden_changes(load_config(run_.config()), config_);
    if (!changes.empty()) {
      throw UserError(concat(run_.config().string(),
                             ": the run was begun with other values; start another with --run-dir, "
                             "or set back ",
                             join(changes, ", ")));
    }
  }
  log_to_file(run_.log().string());
  log_info(concat("training on ", train.description, ", ", train.size(), " images of ",
                  config_.data.channels, " x ", config_.data.image_size, " x ",
                  config_.data.image_size));
  log_info(concat("network of ", learner_.model().network().parameter_count(), " parameters, ",
                  learner_.model().schedule().levels(), " noise levels, on ", device_.str(), " in ",
                  config_.precision));
  if (const std::optional<Checkpoint> checkpoint = run_.newest_checkpoint()) {
    learner_.restore(*checkpoint, run_.checkpoints().string());
    seconds_before_ = checkpoint->seconds;
    saved_step_ = checkpoint->step;
    log_info(concat("going on from step ", checkpoint->step, " of ", run_.root().string()));
  }
  run_.save_config(config_);
  metrics_.emplace(run_, learner_.steps_done());
}

void Trainer::run() {
  const StopSignal signals;
  const std::int64_t total = config_.train.iterations;
  progress_.emplace("training", total, "steps", learner_.steps_done());
  if (config_.train.max_minutes > 0.0) {
    progress_->end_after(60.0 * config_.train.max_minutes - seconds_before_);
  }
  logged_step_ = learner_.steps_done();
  logged_seconds_ = 0.0;
  while (learner_.steps_done() < total && !time_is_up() && !StopSignal::stop_requested()) {
    take_step();
    if (device_.is_cpu()) refuse_bad_numbers();
    if (is_due(config_.train.log_every)) log(*progress_);
    if (is_due(config_.train.checkpoint_every) || StopSignal::take_save_request()) {
      pause(&Trainer::save);
    }
    if (is_due(config_.train.sample_every)) pause(&Trainer::draw_samples);
    if (test_ && is_due(config_.train.nll_every)) pause(&Trainer::score_test_images);
    progress_->update(learner_.steps_done());
  }
  save();
  if (const char* const signal = StopSignal::stop_requested()) {
    log_info(concat(signal, ": saved step ", learner_.steps_done(), " of ", total,
                    "; the same command goes on from there"));
  } else {
    log_info(concat(learner_.steps_done() < total ? "train.max_minutes reached" : "done", ": ",
                    learner_.steps_done(), " steps in ", format_duration(seconds())));
  }
  progress_.reset();
}

void Trainer::take_step() {
  const std::int64_t step = learner_.steps_done();
  const Batch batch = batches_.at_step(step);
  const RandomStream stream = {static_cast<std::uint64_t>(config_.seed), Purpose::dequantize,
                               static_cast<std::uint64_t>(step)};
  const at::Tensor x0 = to_model_scale(batch.images, at::kFloat,
                                       parse_dequantization(config_.data.dequantize), stream);
  const StepInputs inputs =
      draw_inputs(config_, learner_.model().schedule(), step, x0, batch.labels);
  const std::int64_t at_a_time = config_.train.micro_batch_size;
  explain_memory(
      {"train.micro_batch_size", at_a_time == 0 ? x0.size(0) : at_a_time}, memory_meter(device_),
      [&] { means_.add(learner_.step(inputs), step); },
      [&](std::int64_t images) { learner_.loss_gradients(first_of(inputs, images)); });
}

bool Trainer::is_due(std::int64_t every) const {
  return every > 0 && learner_.steps_done() % every == 0;
}

double Trainer::seconds() const {
  return seconds_before_ + (progress_ ? progress_->elapsed_seconds() : 0.0);
}

bool Trainer::time_is_up() const {
  return config_.train.max_minutes > 0.0 && seconds() >= 60.0 * config_.train.max_minutes;
}

void Trainer::refuse_bad_numbers() {
  const std::optional<std::int64_t> bad = means_.first_bad_step();
  if (!bad) return;
  throw std::runtime_error(
      concat("step ", *bad + 1, ": the loss or the gradient is NaN or infinite; ",
             saved_step_ < 0 ? "there is no checkpoint yet"
                             : concat("the last good checkpoint is ",
                                      (run_.checkpoints() / checkpoint_name(saved_step_)).string()),
             ". A lower train.learning_rate or train.clip_grad_norm = 1 may help"));
}

void Trainer::log(const Progress& progress) {
  refuse_bad_numbers();
  Metrics metrics = means_.take();
  const std::int64_t step = learner_.steps_done();
  metrics.emplace_back("learning_rate", learning_rate_at(config_.train, step - 1));
  const double steps = static_cast<double>(step - logged_step_);
  metrics.emplace_back("images_per_second", steps * static_cast<double>(config_.train.batch_size) /
                                                (progress.elapsed_seconds() - logged_seconds_));
  metrics.emplace_back("seconds_left", progress.seconds_left());
  metrics.emplace_back("memory_bytes", static_cast<double>(peak_memory_bytes(device_)));
  metrics_->write(step, metrics);
  log_info(concat("step ", step, ": ", metrics_line({metrics.begin(), metrics.end() - 2}),
                  ", peak memory ", format_bytes(peak_memory_bytes(device_)), ", ",
                  format_duration(progress.seconds_left()), " left"));
  logged_step_ = step;
  logged_seconds_ = progress.elapsed_seconds();
}

void Trainer::pause(void (Trainer::*work)()) {
  const double begin = progress_->elapsed_seconds();
  (this->*work)();
  logged_seconds_ += progress_->elapsed_seconds() - begin;
}

void Trainer::save() {
  refuse_bad_numbers();
  if (saved_step_ == learner_.steps_done()) return;
  Checkpoint checkpoint = learner_.checkpoint();
  checkpoint.seconds = seconds();
  run_.save(checkpoint, config_.train.keep_checkpoints);
  saved_step_ = checkpoint.step;
}

void Trainer::draw_samples() {
  const std::int64_t step = learner_.steps_done();
  GenerateOptions options;
  options.count = config_.train.sample_count;
  options.seed = static_cast<std::uint64_t>(config_.seed);
  options.classes.resize(static_cast<std::size_t>(config_.model.num_classes));
  std::iota(options.classes.begin(), options.classes.end(), std::int64_t{0});
  std::vector<at::Tensor> images;
  generate(learner_.average(), config_.sample, options,
           [&](const at::Tensor& batch) { images.push_back(to_pixels(batch).to(at::kCPU)); });
  const auto columns = static_cast<std::int64_t>(
      std::ceil(std::sqrt(static_cast<double>(config_.train.sample_count))));
  const at::Tensor grid = make_grid(at::cat(images), columns);
  const std::filesystem::path file = run_.samples() / (checkpoint_name(step) + ".png");
  std::filesystem::create_directories(run_.samples());
  write_png(file, grid);
  metrics_->image(step, "samples", file, grid.sizes());
  log_info(concat("step ", step, ": samples in ", file.string()));
}

void Trainer::score_test_images() {
  const std::int64_t step = learner_.steps_done();
  ScoreOptions options;
  options.batch_size = kScoreBatch;
  options.dequantization = parse_dequantization(config_.data.dequantize);
  const at::Tensor log_prob =
      score_images(*learner_.average().as_classifier(), options, test_->images, test_->labels)
          .log_prob;
  // Where there are no 8-bit steps to count in, nats.
  const bool in_bits = test_->has_pixels();
  const MeanEstimate score =
      estimate_mean(in_bits ? bits_per_dim(log_prob, test_->images[0].numel(),
                                           bits_offset(options.dequantization))
                            : log_prob);
  const std::string name = in_bits ? "test_bits_per_dim" : "test_log_prob_nats";
  Metrics metrics = {{name, score.mean}};
  std::string spread;
  if (test_->size() > 1) {
    metrics.emplace_back(name + "_standard_error", score.standard_error);
    spread = concat(" +- ", fixed(score.standard_error, 4));
  }
  metrics_->write(step, metrics);
  log_info(concat("step ", step, ": ", fixed(score.mean, 4), spread,
                  in_bits ? " bits/dim on " : " nats of log p on ", test_->size(), " test images"));
}

}  // namespace cdm
