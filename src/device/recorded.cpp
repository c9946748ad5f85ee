// SPDX-License-Identifier: MIT
#include "cdm/device/recorded.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "cdm/core/log.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

// Calls before the recording. PyTorch's compiled CUDA graphs run once before they are recorded,
// too; its manual recommends three calls, for choices that libraries make by timing on a side
// stream.
constexpr std::int64_t kCallsBefore = 1;

bool same_shapes(const Recorded::Tensors& a, const Recorded::Tensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) {
                      if (!x.defined() || !y.defined()) return x.defined() == y.defined();
                      return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type();
                    });
}

}  // namespace

Recorded::Recorded(Function function, MakeRecorder make_recorder)
    : function_(std::move(function)), make_recorder_(std::move(make_recorder)) {}

Recorded::Tensors Recorded::operator()(const Tensors& inputs) {
  replayed_ = false;
  if (failed_) return function_(inputs);
  if (recorder_ == nullptr) {
    if (calls_ == 0 || !same_shapes(inputs, inputs_)) {
      calls_ = 0;
      inputs_.clear();
      for (const at::Tensor& input : inputs) {
        inputs_.push_back(input.defined() ? input.clone() : input);
      }
    }
    if (++calls_ <= kCallsBefore) return function_(inputs);
    record();
    if (failed_) return function_(inputs);
  }
  if (!same_shapes(inputs, inputs_)) return function_(inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].defined()) inputs_[i].copy_(inputs[i]);
  }
  recorder_->replay();
  replayed_ = true;
  return results_;
}

void Recorded::record() {
  try {
    std::unique_ptr<GraphRecorder> recorder = make_recorder_();
    recorder->record([this] {
      Tensors results = function_(inputs_);
      if (results_.empty()) {
        results_ = std::move(results);
      } else {  // a recorder that replays by calling this again: same memory, as with a graph
        for (std::size_t i = 0; i < results.size(); ++i) results_[i].copy_(results[i]);
      }
    });
    recorder_ = std::move(recorder);
  } catch (const std::exception& error) {
    failed_ = true;
    inputs_.clear();
    results_.clear();
    log_warning(
        concat("cuda_graphs: ", first_line(error.what()), "; continuing without CUDA graphs"));
  }
}

}  // namespace cdm
