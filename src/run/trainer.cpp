// SPDX-License-Identifier: MIT
#include "cdm/run/trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/classes.h"
#include "cdm/device/device.h"
#include "cdm/device/memory_advice.h"
#include "cdm/eval/denoiser_bound.h"
#include "cdm/eval/nll.h"
#include "cdm/io/image.h"
#include "cdm/run/replay.h"
#include "cdm/run/stop_signal.h"
#include "cdm/sample/generate.h"
#include "cdm/train/anchor_statistics.h"
#include "cdm/train/make_model.h"

namespace cdm {
namespace {

constexpr std::int64_t kScoreBatch = 128;

// Bits of Trainer::requests(). The bits from kTimeShift on are rank 0's share of the run's time, in
// units of 1 / kTimeUnits.
constexpr std::int64_t kStop = 1;
constexpr std::int64_t kSave = 2;
constexpr int kTimeShift = 2;
constexpr double kTimeUnits = 1 << 30;

std::string what_is_wrong(std::int64_t step) {
  return concat("step ", step + 1, ": the loss or the gradient is NaN or infinite");
}

void log_classes(const ModelConfig& model) {
  if (model.num_classes > 0 && !model.class_names.empty()) {
    log_info(concat("classes: ", list_classes(model.class_names)));
  }
  if (!model.untrained_classes.empty()) {
    std::vector<std::string> numbers;
    for (const std::int64_t number : model.untrained_classes) {
      numbers.push_back(std::to_string(number));
    }
    log_warning(concat("model.num_classes = ", model.num_classes,
                       ": there are no training images of class ", list_some(numbers, 10)));
  }
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

Trainer::Trainer(const RunConfig& config, const RunDir& run, at::Device device,
                 const ProcessGroup& group, Begin begin)
    : Trainer(prepare_training(config, run, group, begin), run, device, group, begin) {}

Trainer::Trainer(const PreparedTraining& start, const RunDir& run, at::Device device,
                 const ProcessGroup& group, Begin begin)
    : config_(start.config),
      device_(device),
      group_(group),
      test_(start.test),
      learner_(config_, network_shape(config_), device, at::kFloat, group),
      batches_(start.train, config_.train.batch_size, static_cast<std::uint64_t>(config_.seed),
               config_.data, device, config_.loss.draws_per_image),
      run_(run) {
  learner_.take_inputs_from([this](const StreamIndex& step) { return inputs_at(step); },
                            batches_.is_on_device());
  if (group.is_first()) {
    open_run(begin);
    // A checkpoint has the statistics of the anchor.
    if (saved_step_ < 0) learner_.set_anchor(anchor_statistics(config_, start.train));
    log_info(concat("training on ", start.train.description, ", ", start.train.size(),
                    " images of ", config_.data.channels, " x ", config_.data.image_size, " x ",
                    config_.data.image_size));
    log_classes(config_.model);
    log_info(concat("network of ", learner_.model().network().parameter_count(), " parameters, ",
                    learner_.model().schedule().levels(), " noise levels, on ", device_.str(),
                    " in ", name_of(arithmetic_for(config_, Work::training, device_)),
                    group.is_alone() ? "" : concat(", in ", group.size(), " processes")));
    if (config_.train.sample_every > 0) {
      const std::string doubt = warning_of_start(learner_.model().schedule(), config_.sample);
      if (!doubt.empty()) log_warning(doubt);
    }
    if (saved_step_ >= 0) {
      log_info(concat("going on from step ", saved_step_, " of ", run_.root().string()));
    } else if (const std::int64_t logged = last_step_in(run_.metrics()); logged > 0) {
      log_warning(concat(run_.root().string(), ": the run was stopped at step ", logged,
                         " or later, before its first checkpoint; it begins again at step 0"));
    }
    run_.clear_away(learner_.steps_done());
    // The metrics come first: with another configuration, lines that are to be removed could look
    // like those of a run that has lost its checkpoints.
    metrics_.emplace(run_, learner_.steps_done());
    run_.save_config(config_);
  }
  // Only the first process knows what the checkpoint holds. Its statistics replace these.
  if (!group.is_first()) learner_.set_anchor(anchor_statistics(config_, start.train));
  learner_.share_state();
  steps_skipped_ = learner_.steps_skipped();
}

void Trainer::open_run(Begin begin) {
  require_makeable(run_);
  // A configuration that somebody wrote into the folder, which is no run yet.
  const bool is_given = begin == Begin::resume && run_.has_config() && !run_.has_begun();
  std::filesystem::create_directories(run_.root());
  lock_.emplace(run_);
  std::filesystem::path aside;
  if (begin == Begin::from_scratch) {
    run_.require_writable();
    aside = run_.set_aside();
    lock_->note_checkpoint("");
  }
  std::optional<TrainingState> checkpoint;
  if (!is_given) checkpoint = checkpoint_to_resume(run_, config_);
  if (checkpoint) {
    learner_.restore(*checkpoint, run_.checkpoints().string());
    seconds_before_ = checkpoint->seconds;
    saved_step_ = checkpoint->step;
  }
  run_.require_writable();
  if (is_given) run_.keep_given_config();
  if (checkpoint) lock_->note_checkpoint(checkpoint_name(checkpoint->step));
  log_to_file(run_.log().string());
  if (!aside.empty()) {
    log_info(concat("the files of the former run are in ", aside.string(),
                    "; a new run begins (--from-scratch)"));
  }
}

void Trainer::run() {
  const std::int64_t total = config_.train.iterations;
  progress_.emplace("training", total, "steps", learner_.steps_done());
  if (config_.train.max_minutes > 0.0) {
    progress_->end_after(60.0 * config_.train.max_minutes - seconds_before_);
  }
  logged_step_ = learner_.steps_done();
  logged_seconds_ = 0.0;
  bool stopped = false;
  while (learner_.steps_done() < total) {
    const std::int64_t asked = group_.any_of(requests());
    stopped = (asked & kStop) != 0;
    if (stopped) break;
    if (depends_on_time(config_.train)) {
      learner_.set_time_used(static_cast<double>(asked >> kTimeShift) / kTimeUnits);
    }
    take_step();
    if (is_due(config_.train.log_every)) log(*progress_);
    if (is_due(config_.train.checkpoint_every) || (asked & kSave) != 0) pause(&Trainer::save);
    if (is_due(config_.train.average_every)) pause(&Trainer::save_averages);
    if (is_due(config_.train.sample_every)) pause(&Trainer::draw_samples);
    if (test_ && is_due(config_.train.nll_every)) pause(&Trainer::score_test_images);
    progress_->update(learner_.steps_done());
  }
  save();
  const char* const signal = StopSignal::stop_requested();
  if (signal != nullptr || (stopped && !time_is_up())) {
    log_info(concat(signal != nullptr ? signal : "asked to stop by another process",
                    ": saved step ", learner_.steps_done(), " of ", total,
                    "; the same command goes on from there"));
  } else {
    log_info(concat(learner_.steps_done() < total ? "train.max_minutes reached" : "done", ": ",
                    learner_.steps_done(), " steps in ", format_duration(seconds())));
  }
  progress_.reset();
}

std::int64_t Trainer::requests() const {
  std::int64_t bits = 0;
  if (time_is_up() || StopSignal::stop_requested()) bits |= kStop;
  const double minutes = config_.train.checkpoint_minutes;
  const bool is_time = minutes > 0.0 && group_.is_first() &&
                       progress_->elapsed_seconds() - saved_seconds_ >= 60.0 * minutes;
  if (StopSignal::take_save_request() || is_time) bits |= kSave;
  if (depends_on_time(config_.train) && group_.is_first()) {
    bits |= static_cast<std::int64_t>(time_used(config_.train, seconds()) * kTimeUnits)
            << kTimeShift;
  }
  return bits;
}

StepInputs Trainer::inputs_at(const StreamIndex& step) {
  const RowRange rows = rows_of_rank(config_.train.batch_size, group_.rank(), group_.size());
  return inputs_of_step(config_, learner_.objective(), learner_.model().schedule(), batches_, step,
                        rows);
}

void Trainer::take_step() {
  const std::int64_t step = learner_.steps_done();
  batches_.prepare(step);
  StepReport report;
  const auto take = [&] { report = learner_.step(); };
  if (group_.is_alone()) {
    const std::int64_t at_a_time = config_.train.micro_batch_size;
    explain_memory(
        {"train.micro_batch_size", at_a_time == 0 ? config_.train.batch_size : at_a_time},
        memory_meter(device_), take, [&](std::int64_t images) {
          learner_.loss_gradients(rows_of(inputs_at(step), {0, images}));
        });
  } else {
    take();  // explain_memory() tries smaller batches; one process alone would wait for the others
  }
  means_.add(report, step);
  if (device_.is_cpu()) report_skipped_steps();  // does not wait on a CPU
}

void Trainer::report_skipped_steps() {
  const std::vector<SkippedStep> skipped = means_.take_skipped();
  if (group_.is_first()) {
    for (const SkippedStep& step : skipped) {
      write_skipped_step(run_.skipped_steps(), config_, learner_.objective(),
                         learner_.model().schedule(), step);
    }
  }
  for (const SkippedStep& step : skipped) {
    ++steps_skipped_;
    if (steps_skipped_ > config_.train.skip_bad_steps) end_with_skipped_step(step.step);
    log_warning(concat(what_is_wrong(step.step), "; skipped, ", steps_skipped_,
                       " of train.skip_bad_steps = ", config_.train.skip_bad_steps));
  }
}

void Trainer::end_with_skipped_step(std::int64_t step) const {
  throw std::runtime_error(
      concat(what_is_wrong(step), "; ",
             saved_step_ < 0 ? "there is no checkpoint yet"
                             : concat("the last checkpoint before it is ",
                                      (run_.checkpoints() / checkpoint_name(saved_step_)).string()),
             ". --replay-step ", step + 1,
             " shows more about that step; a lower train.learning_rate or train.clip_grad_norm = 1 "
             "may help"));
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

void Trainer::log(const Progress& progress) {
  report_skipped_steps();
  Metrics metrics = means_.take();
  if (!group_.is_first()) return;
  const std::int64_t step = learner_.steps_done();
  if (config_.train.skip_bad_steps > 0) {
    metrics.emplace_back("skipped_steps", static_cast<double>(steps_skipped_));
  }
  metrics.emplace_back("learning_rate",
                       learning_rate_at(config_.train, step - 1, learner_.time_used()));
  const double steps = static_cast<double>(step - logged_step_);
  metrics.emplace_back("images_per_second", steps * static_cast<double>(config_.train.batch_size) /
                                                (progress.elapsed_seconds() - logged_seconds_));
  metrics.emplace_back("seconds", seconds());
  metrics.emplace_back("seconds_left", progress.seconds_left());
  metrics.emplace_back("memory_bytes", static_cast<double>(peak_memory_bytes(device_)));
  metrics_->write(step, metrics);
  log_info(concat("step ", step, ": ", metrics_line({metrics.begin(), metrics.end() - 3}),
                  ", peak memory ", format_bytes(peak_memory_bytes(device_)), ", ",
                  format_duration(progress.seconds_left()), " left"));
  logged_step_ = step;
  logged_seconds_ = progress.elapsed_seconds();
}

void Trainer::pause(void (Trainer::*work)()) {
  const double begin = progress_->elapsed_seconds();
  // A recorded step keeps its memory, which may be nearly all of a GPU's.
  const auto make_room = [this] {
    if (!learner_.forget_recordings()) return false;
    log_info_once("out of memory beside the recorded training step; recording it again afterwards");
    return true;
  };
  if (run_with_room([&] { (this->*work)(); }, make_room)) learner_.forget_recordings();
  logged_seconds_ += progress_->elapsed_seconds() - begin;
}

void Trainer::save() {
  report_skipped_steps();
  if (!group_.is_first() || saved_step_ == learner_.steps_done()) return;
  TrainingState checkpoint = learner_.state();
  checkpoint.seconds = seconds();
  run_.save(checkpoint, config_, config_.train.keep_checkpoints);
  lock_->note_checkpoint(checkpoint_name(checkpoint.step));
  saved_step_ = checkpoint.step;
  saved_seconds_ = progress_->elapsed_seconds();
}

void Trainer::save_averages() {
  report_skipped_steps();
  if (group_.is_first()) run_.save_averages(learner_.state(), config_);
}

void Trainer::draw_samples() {
  const std::int64_t step = learner_.steps_done();
  GenerateOptions options;
  options.count = config_.train.sample_count;
  options.seed = static_cast<std::uint64_t>(config_.seed);
  options.classes.resize(static_cast<std::size_t>(config_.model.num_classes));
  std::iota(options.classes.begin(), options.classes.end(), std::int64_t{0});
  std::vector<at::Tensor> images;
  generate(
      learner_.average(), config_.sample, options,
      [&](const at::Tensor& batch) { images.push_back(to_pixels(batch).to(at::kCPU)); }, {},
      group_);
  if (!group_.is_first()) return;
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
  options.dequantization = config_.data.dequantize;
  const at::Tensor log_prob =
      score_images(learner_.average(), options, test_->images, test_->labels, {}, group_).log_prob;
  BoundOptions bound_options;
  bound_options.batch_size = kScoreBatch;
  bound_options.dequantization = config_.data.dequantize;
  const bool is_bounded = has_levels_to_denoise(learner_.model().schedule());
  DenoiserBound bound;
  if (is_bounded) {
    bound =
        denoiser_bound(learner_.average(), bound_options, test_->images, test_->labels, {}, group_);
  }
  if (!group_.is_first()) return;
  // Bits per dimension for 8-bit pixels, otherwise nats.
  const bool in_bits = test_->has_pixels();
  const auto in_units = [&](const at::Tensor& nats) {
    return in_bits
               ? bits_per_dim(nats, test_->images[0].numel(), bits_offset(options.dequantization))
               : nats;
  };
  Metrics metrics;
  const auto told = [&](const std::string& name, const MeanEstimate& mean) {
    metrics.emplace_back(name, mean.mean);
    if (test_->size() == 1) return fixed(mean.mean, 4);
    metrics.emplace_back(name + "_standard_error", mean.standard_error);
    return concat(fixed(mean.mean, 4), " +- ", fixed(mean.standard_error, 4));
  };
  const at::Tensor claimed = in_units(log_prob);
  const std::string score =
      told(in_bits ? "test_bits_per_dim" : "test_log_prob_nats", estimate_mean(claimed));
  std::string proven;
  if (is_bounded) {
    const at::Tensor bounds = in_units(bound.log_prob);
    // Below zero in both units where the model claims a higher density than its denoiser proves.
    const at::Tensor gaps = in_bits ? claimed - bounds : bounds - claimed;
    proven = concat("; bound by the denoiser ",
                    told(in_bits ? "test_denoiser_bound_bits_per_dim" : "test_denoiser_bound_nats",
                         estimate_mean_by_place(bounds, bound.place)),
                    ", gap ",
                    told(in_bits ? "test_gap_bits_per_dim" : "test_gap_nats",
                         estimate_mean_by_place(gaps, bound.place)));
  }
  metrics.emplace_back("seconds", seconds());
  metrics_->write(step, metrics);
  log_info(concat("step ", step, ": ", score, in_bits ? " bits/dim on " : " nats of log p on ",
                  test_->size(), " test images", proven));
}

}  // namespace cdm
