// SPDX-License-Identifier: MIT
#include "cdm/train/learner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>
#include <vector>

#include "cdm/core/log.h"
#include "cdm/device/random.h"
#include "cdm/inference/recorded_denoiser.h"
#include "cdm/train/make_model.h"

namespace cdm {
namespace {

/// A model in training: a bf16 body where the configuration asks for it, all else in `type`.
std::shared_ptr<Denoiser> training_model(const RunConfig& config, const NetworkShape& shape,
                                         at::Device device, at::ScalarType type) {
  const bool bf16 = config.precision == Arithmetic::bf16;
  return make_model(config, shape, device, {type, bf16 ? at::kBFloat16 : type, false},
                    static_cast<std::uint64_t>(config.seed));
}

}  // namespace

NetworkShape network_shape(const RunConfig& config) {
  return {config.data.channels, config.data.image_size, NoiseSchedule(config.diffusion).levels()};
}

StepInputs draw_inputs(const RunConfig& config, const NoiseSchedule& schedule, std::int64_t step,
                       const at::Tensor& x0, const at::Tensor& labels, std::int64_t first_row,
                       std::int64_t all_rows) {
  const auto stream = [&](Purpose purpose) {
    return RandomStream{static_cast<std::uint64_t>(config.seed), purpose,
                        static_cast<std::uint64_t>(step)};
  };
  const std::int64_t rows = x0.size(0);
  StepInputs inputs;
  inputs.first_row = first_row;
  inputs.all_rows = all_rows == 0 ? rows : all_rows;
  inputs.x0 = x0;
  inputs.t =
      draw_levels(schedule, config.model, config.loss, stream(Purpose::level), inputs.all_rows)
          .narrow(0, first_row, rows)
          .to(x0.device());
  inputs.noise = normal(stream(Purpose::noise), x0.sizes(), x0.options(), first_row);
  if (config.model.num_classes > 0) {
    const at::Tensor dropped =
        uniform(stream(Purpose::label_dropout), {rows}, x0.options().dtype(at::kFloat), first_row)
            .lt(config.loss.label_dropout);
    inputs.labels = at::where(dropped, at::full_like(labels, config.model.num_classes), labels);
  }
  return inputs;
}

StepInputs rows_of(const StepInputs& inputs, std::int64_t first, std::int64_t count) {
  const auto rows = [&](const at::Tensor& all) {
    return all.defined() ? all.narrow(0, first, count) : all;
  };
  return {rows(inputs.x0),          rows(inputs.t),
          rows(inputs.noise),       rows(inputs.labels),
          inputs.first_row + first, inputs.all_rows == 0 ? inputs.x0.size(0) : inputs.all_rows};
}

StepInputs inputs_of_step(const RunConfig& config, const NoiseSchedule& schedule,
                          BatchStream& batches, std::int64_t step, const Share& share) {
  const Batch batch = batches.at_step(step, share.first, share.count);
  const RandomStream stream = {static_cast<std::uint64_t>(config.seed), Purpose::dequantize,
                               static_cast<std::uint64_t>(step)};
  const at::Tensor x0 =
      to_model_scale(batch.images, at::kFloat, config.data.dequantize, stream, share.first);
  return draw_inputs(config, schedule, step, x0, batch.labels, share.first,
                     config.train.batch_size);
}

void LossGradients::add(const LossGradients& other) {
  if (!terms.total.defined()) {
    *this = other;
    return;
  }
  if (!gradients.empty()) at::_foreach_add_(gradients, other.gradients);
  terms.total.add_(other.terms.total);
  terms.ce.add_(other.terms.ce);
  terms.mse.add_(other.terms.mse);
  terms.accuracy.add_(other.terms.accuracy);
}

Learner::Learner(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 at::ScalarType type, const ProcessGroup& group)
    : config_(config),
      device_(device),
      model_(training_model(config, shape, device, type)),
      average_(training_model(config, shape, device, type)),
      adam_(model_->network().parameters(), config.train),
      group_(group) {
  model_->network().set_requires_grad(true);
  if (!group.is_alone()) {
    buckets_ = std::make_unique<GradientBuckets>(group, values_of(model_->network().parameters()));
  }
  if (config.cuda_graphs && device.is_cuda()) {
    if (group.is_alone()) {
      record_with(cuda_graphs(device));
      average_ = recorded_if_asked(average_, config, device);
    } else {
      log_warning("cuda_graphs: a run of several processes is not recorded; going on without");
    }
  }
}

std::vector<Piece> Learner::pieces_of(std::int64_t rows) const {
  return cut_batch(rows, device_, config_.train.micro_batch_size);
}

std::uint64_t Learner::dropout_seed() const {
  return derived_seed({static_cast<std::uint64_t>(config_.seed), Purpose::dropout,
                       static_cast<std::uint64_t>(step_)});
}

LossGradients Learner::loss_gradients(const StepInputs& inputs) const {
  std::vector<DropoutMasks> masks = masks_of(inputs);
  return loss_gradients(inputs, masks);
}

std::vector<DropoutMasks> Learner::masks_of(const StepInputs& inputs) const {
  std::vector<DropoutMasks> masks;
  for (const Piece& piece : pieces_of(inputs.x0.size(0))) {
    masks.emplace_back(dropout_seed(), inputs.first_row + piece.first);
  }
  return masks;
}

LossGradients Learner::loss_gradients(const StepInputs& inputs,
                                      std::vector<DropoutMasks>& masks) const {
  const std::vector<at::Tensor> parameters = values_of(model_->network().parameters());
  const std::vector<Piece> pieces = pieces_of(inputs.x0.size(0));
  const std::int64_t workers = worker_count(pieces, device_);
  std::vector<LossGradients> sums(static_cast<std::size_t>(workers));
  if (buckets_) buckets_->begin(static_cast<std::int64_t>(pieces.size()), workers);
  for_each_piece(pieces, device_, [&](std::int64_t worker, const Piece& piece) {
    const GradientBuckets::AsWorker as_worker(worker);
    const StepInputs part = rows_of(inputs, piece.first, piece.count);
    DropoutMasks& own_masks = masks[static_cast<std::size_t>(&piece - pieces.data())];
    const LossTerms loss =
        training_loss(*model_, config_.loss, part.x0, part.t, part.noise, part.labels, &own_masks);
    const double share = static_cast<double>(piece.count) / static_cast<double>(part.all_rows);
    std::vector<at::Tensor> gradients = torch::autograd::grad({loss.total * share}, parameters);
    if (buckets_) gradients.clear();  // the hooks of the buckets have seen and kept them
    sums[static_cast<std::size_t>(worker)].add(
        {std::move(gradients),
         {loss.total.detach() * share, loss.ce * share, loss.mse * share, loss.accuracy * share}});
  });
  for (std::size_t i = 1; i < sums.size(); ++i) sums[0].add(sums[i]);
  if (buckets_) {
    const LossTerms& terms = sums[0].terms;
    sums[0].gradients = buckets_->finish({terms.total, terms.ce, terms.mse, terms.accuracy});
  }
  return std::move(sums[0]);
}

void Learner::record_with(MakeRecorder make_recorder) {
  // Inputs: x0, t, noise and labels, then the masks of each piece. Results: the loss, then the
  // gradients.
  const auto function = [this](const Recorded::Tensors& in) -> Recorded::Tensors {
    std::vector<DropoutMasks> masks;
    auto next = in.begin() + 4;
    for (const auto& requests : requests_) {
      const auto end = next + static_cast<std::ptrdiff_t>(requests.size());
      masks.emplace_back(std::vector<at::Tensor>(next, end));
      next = end;
    }
    const LossGradients loss = loss_gradients({in[0], in[1], in[2], in[3]}, masks);
    Recorded::Tensors out = {loss.terms.total, loss.terms.ce, loss.terms.mse, loss.terms.accuracy};
    out.insert(out.end(), loss.gradients.begin(), loss.gradients.end());
    return out;
  };
  recorded_ = std::make_unique<Recorded>(function, std::move(make_recorder));
}

LossGradients Learner::recorded_loss_gradients(const StepInputs& inputs) {
  const std::int64_t rows = inputs.x0.size(0);
  if (inputs.first_row != 0 || (inputs.all_rows != 0 && inputs.all_rows != rows)) {
    return loss_gradients(inputs);  // a part of a batch, which a recording knows nothing of
  }
  if (requests_rows_ != rows) {  // the first step says what masks are asked for
    requests_rows_ = rows;
    std::vector<DropoutMasks> masks = masks_of(inputs);
    LossGradients loss = loss_gradients(inputs, masks);
    requests_.clear();
    for (const DropoutMasks& piece_masks : masks) requests_.push_back(piece_masks.requests());
    return loss;
  }
  const std::vector<Piece> pieces = pieces_of(rows);
  Recorded::Tensors in = {inputs.x0, inputs.t, inputs.noise, inputs.labels};
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::vector<at::Tensor> drawn =
        DropoutMasks::draw(dropout_seed(), pieces[i].first, requests_[i]);
    in.insert(in.end(), drawn.begin(), drawn.end());
  }
  const Recorded::Tensors out = (*recorded_)(in);
  // The report outlives the next step, the gradients do not.
  const auto term = [&](std::size_t i) { return out[i].clone(); };
  return {{out.begin() + 4, out.end()}, {term(0), term(1), term(2), term(3)}};
}

StepReport Learner::step(const StepInputs& inputs) {
  const NamedTensors& weights = model_->network().parameters();
  const auto [gradients, loss] =
      recorded_ ? recorded_loss_gradients(inputs) : loss_gradients(inputs);
  StepReport report;
  report.learning_rate = learning_rate_at(config_.train, step_);
  report.loss = loss;
  report.gradient_norm = gradient_norm(gradients);
  // Asking costs a wait for the device, which is nothing on the CPU.
  if (model_->network().parameters().front().second.is_cpu() || config_.train.skip_bad_steps > 0) {
    report.left_out = !(loss.total + report.gradient_norm).isfinite().item<bool>();
  }
  if (report.left_out) {
    ++skipped_;
    ++step_;
    return report;
  }
  if (config_.train.clip_grad_norm > 0.0) {
    clip_gradients(gradients, report.gradient_norm, config_.train.clip_grad_norm);
  }
  adam_.step(gradients, report.learning_rate);
  update_average(average_->network().parameters(), weights, ema_decay_at(config_.train, step_));
  ++step_;
  return report;
}

TrainingState Learner::state() const {
  TrainingState checkpoint;
  checkpoint.step = step_;
  checkpoint.skipped = skipped_;
  checkpoint.model = model_->network().parameters();
  checkpoint.ema = average_->network().parameters();
  checkpoint.exp_avg = adam_.first_moments();
  checkpoint.exp_avg_sq = adam_.second_moments();
  return checkpoint;
}

void Learner::restore(const TrainingState& checkpoint, const std::string& source) {
  model_->network().load(checkpoint.model, source);
  average_->network().load(checkpoint.ema, source);
  adam_.load(checkpoint.exp_avg, checkpoint.exp_avg_sq, checkpoint.step - checkpoint.skipped);
  step_ = checkpoint.step;
  skipped_ = checkpoint.skipped;
}

void Learner::share_state() {
  if (group_.is_alone()) return;
  const at::Tensor counts = at::tensor({step_, skipped_}, at::kLong);
  group_.broadcast(counts);
  TrainingState shared = state();
  for (const NamedTensors* tensors :
       {&shared.model, &shared.ema, &shared.exp_avg, &shared.exp_avg_sq}) {
    for (const auto& [name, tensor] : *tensors) group_.broadcast(tensor.detach());
  }
  shared.step = counts[0].item<std::int64_t>();
  shared.skipped = counts[1].item<std::int64_t>();
  restore(shared, "the state of rank 0");
}

}  // namespace cdm
