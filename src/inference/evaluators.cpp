// SPDX-License-Identifier: MIT
#include "cdm/inference/evaluators.h"

#include <ATen/ops/cat.h>

#include <map>
#include <utility>
#include <vector>

#include "cdm/core/tensors.h"
#include "cdm/device/cuda_graphs.h"
#include "cdm/device/parallel.h"

namespace cdm {
namespace {

class ParallelEvaluator final : public RowEvaluator {
 public:
  Tensors operator()(Question /*question*/, const RowFunction& function,
                     const Tensors& inputs) const override {
    const at::Tensor& x = inputs.front();
    const std::vector<RowRange> pieces = cut_batch(x.size(0), x.device());
    if (pieces.size() == 1) return function(inputs);
    std::vector<Tensors> results(pieces.size());
    for_each_piece(pieces, x.device(), [&](std::int64_t /*worker*/, std::size_t i) {
      Tensors rows;
      for (const at::Tensor& input : inputs) {
        rows.push_back(rows_of(input, pieces[i].first, pieces[i].count));
      }
      results[i] = function(rows);
    });
    Tensors whole;
    for (std::size_t k = 0; k < results.front().size(); ++k) {
      std::vector<at::Tensor> parts;
      for (const Tensors& result : results) parts.push_back(result[k]);
      whole.push_back(at::cat(parts));
    }
    return whole;
  }
};

class RecordedEvaluator final : public RowEvaluator {
 public:
  explicit RecordedEvaluator(MakeRecorder make_recorder)
      : make_recorder_(std::move(make_recorder)) {}

  Tensors operator()(Question question, const RowFunction& function,
                     const Tensors& inputs) const override {
    // For one model, a question always means the same function, so the first one is recorded.
    Recorded& recorded = recorded_.try_emplace(question, function, make_recorder_).first->second;
    Tensors results = recorded(inputs);
    if (recorded.replayed()) {
      // The next replay overwrites this memory, and samplers keep earlier predictions.
      for (at::Tensor& result : results) result = result.clone();
    }
    return results;
  }

 private:
  MakeRecorder make_recorder_;
  mutable std::map<Question, Recorded> recorded_;
};

}  // namespace

std::shared_ptr<const RowEvaluator> parallel_evaluator() {
  return std::make_shared<ParallelEvaluator>();
}

std::shared_ptr<const RowEvaluator> recorded_evaluator(MakeRecorder make_recorder) {
  return std::make_shared<RecordedEvaluator>(std::move(make_recorder));
}

std::shared_ptr<const RowEvaluator> evaluator_for(const RunConfig& config, at::Device device) {
  if (use_cuda_graphs(config.cuda_graphs, device)) return recorded_evaluator(cuda_graphs(device));
  return parallel_evaluator();
}

}  // namespace cdm
