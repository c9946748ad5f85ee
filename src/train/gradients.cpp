// SPDX-License-Identifier: MIT
#include "cdm/train/gradients.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/full.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

namespace cdm {
namespace {

/// The number of these rows divided by that of their batch: a scalar in the images' type, on their
/// device.
at::Tensor share_in_batch(const StepInputs& rows) {
  const auto share = static_cast<double>(rows.x0.size(0)) / static_cast<double>(rows.all_rows);
  return at::full({}, share, rows.x0.options());
}

/// Adds `other` to `sum`, in place. An empty `sum` takes the tensors of `other`.
void add(LossGradients& sum, LossGradients other) {
  if (sum.terms.empty()) {
    sum = std::move(other);
    return;
  }
  for (std::size_t i = 0; i < sum.terms.size(); ++i) {
    sum.terms[i].second.add_(other.terms[i].second);
  }
  if (!sum.gradients.empty()) at::_foreach_add_(sum.gradients, other.gradients);
}

}  // namespace

LossGradients loss_gradients(const Model& model, const Objective& objective,
                             const TrainingRows& rows, const at::Tensor& weight,
                             DropoutMasks* masks) {
  const Loss loss = objective.loss(model, rows, masks);
  const at::Tensor weighted = loss.total * weight;
  LossGradients result;
  result.gradients = torch::autograd::grad({weighted}, values_of(model.network().parameters()));
  result.terms.emplace_back("loss", weighted.detach());
  for (const auto& [name, term] : loss.terms) result.terms.emplace_back(name, term * weight);
  return result;
}

BatchGradients::BatchGradients(const Model& model, const Objective& objective,
                               std::int64_t micro_batch_size, const ProcessGroup& group)
    : model_(model), objective_(objective), micro_batch_size_(micro_batch_size) {
  names_ = {"loss"};
  for (const std::string& name : objective.terms()) names_.push_back(name);
  if (!group.is_alone()) {
    buckets_ = std::make_unique<GradientBuckets>(group, values_of(model.network().parameters()),
                                                 static_cast<std::int64_t>(names_.size()));
  }
}

LossGradients BatchGradients::operator()(const StepInputs& inputs, std::uint64_t dropout_seed) {
  const at::Device device = inputs.x0.device();
  const std::vector<RowRange> pieces = cut_batch(inputs.x0.size(0), device, micro_batch_size_);
  const std::int64_t workers = worker_count(pieces, device);
  std::vector<LossGradients> sums(static_cast<std::size_t>(workers));
  if (buckets_) buckets_->begin(static_cast<std::int64_t>(pieces.size()), workers);
  for_each_piece(pieces, device, [&](std::int64_t worker, std::size_t i) {
    const GradientBuckets::AsWorker as_worker(worker);
    LossGradients part = of_rows(rows_of(inputs, pieces[i]), dropout_seed, workers == 1);
    if (buckets_) part.gradients.clear();  // the hooks of the buckets have taken them
    add(sums[static_cast<std::size_t>(worker)], std::move(part));
  });
  LossGradients& sum = sums.front();
  for (std::size_t i = 1; i < sums.size(); ++i) add(sum, std::move(sums[i]));
  if (buckets_) sum.gradients = buckets_->finish(values_of(sum.terms));
  return std::move(sum);
}

LossGradients BatchGradients::of_rows(const StepInputs& rows, std::uint64_t dropout_seed,
                                      bool may_replay) {
  Recorded* const recorded = may_replay ? recording_of(rows.x0.size(0)) : nullptr;
  if (recorded != nullptr) return replayed(*recorded, rows, dropout_seed);
  DropoutMasks masks(dropout_seed, rows.first_row, rows.x0.device());
  return loss_gradients(model_, objective_, rows, share_in_batch(rows), &masks);
}

LossGradients BatchGradients::at_once(const StepInputs& inputs, const at::Tensor& dropout) const {
  DropoutMasks masks(dropout);
  return loss_gradients(model_, objective_, inputs, share_in_batch(inputs), &masks);
}

bool BatchGradients::takes_at_once(std::int64_t rows, at::Device device) const {
  return !buckets_ && cut_batch(rows, device, micro_batch_size_).size() == 1;
}

void BatchGradients::record_with(MakeRecorder make_recorder) {
  make_recorder_ = std::move(make_recorder);
  recorded_.clear();
}

Recorded* BatchGradients::recording_of(std::int64_t rows) {
  if (!make_recorder_) return nullptr;
  if (const auto found = recorded_.find(rows); found != recorded_.end()) return &found->second;
  // cut_batch() makes parts of at most two sizes. A third one is that of an odd batch.
  constexpr std::size_t kMostRecordings = 2;
  if (recorded_.size() >= kMostRecordings) return nullptr;
  // Inputs: x0, labels, how images were augmented, weight, what identifies the dropout masks, then
  // what the objective drew.
  // Results: the terms, then the gradients.
  const auto function = [this](const Tensors& in) -> Tensors {
    TrainingRows rows = {in[0], in[1], {}, in[2]};
    DropoutMasks masks(in[4]);
    auto next = in.begin() + 5;
    for (const std::string& name : drawn_names_) rows.drawn.emplace_back(name, *next++);
    const LossGradients loss = loss_gradients(model_, objective_, rows, in[3], &masks);
    Tensors out = values_of(loss.terms);
    out.insert(out.end(), loss.gradients.begin(), loss.gradients.end());
    return out;
  };
  return &recorded_.try_emplace(rows, function, make_recorder_).first->second;
}

LossGradients BatchGradients::replayed(Recorded& recorded, const StepInputs& rows,
                                       std::uint64_t dropout_seed) {
  Tensors in = {rows.x0, rows.labels, rows.told, share_in_batch(rows),
                DropoutMasks::rows_of(dropout_seed, rows.first_row, rows.x0.device())};
  drawn_names_.clear();
  for (const auto& [name, drawn] : rows.drawn) {
    drawn_names_.push_back(name);
    in.push_back(drawn);
  }
  Tensors out = recorded(in);
  // The next replay overwrites the memory of these results. The terms must remain valid, and so
  // must the gradients of a part of a batch until those of the other parts are added.
  const bool is_part = rows.x0.size(0) < rows.all_rows;
  LossGradients result;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i < names_.size()) {
      result.terms.emplace_back(names_[i], out[i].clone());
    } else {
      result.gradients.push_back(is_part && recorded.replayed() ? out[i].clone() : out[i]);
    }
  }
  return result;
}

}  // namespace cdm
