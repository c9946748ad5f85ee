// SPDX-License-Identifier: MIT
// A function of tensors that is recorded once, as a CUDA graph, and replayed from then on:
// thousands of launches become one. What it does may depend on the values of its tensors only.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace cdm {

class GraphRecorder {
 public:
  virtual ~GraphRecorder() = default;

  /// Runs `work` once, keeping what it asks of the device, which does not do it yet. Throws when
  /// something in it cannot be recorded.
  virtual void record(const std::function<void()>& work) = 0;

  /// Does all that was recorded, on the same memory.
  virtual void replay() = 0;
};

using MakeRecorder = std::function<std::unique_ptr<GraphRecorder>()>;

/// CUDA graphs on `device`. A recorder throws std::runtime_error, when it is made, where this build
/// has no part for them.
MakeRecorder cuda_graphs(at::Device device);

class Recorded {
 public:
  using Tensors = std::vector<at::Tensor>;
  using Function = std::function<Tensors(const Tensors& inputs)>;

  Recorded(Function function, MakeRecorder make_recorder);

  /// function(inputs). The first calls run it as it is, so that libraries make their choices; then
  /// it is recorded. Inputs of other shapes run it as it is, and so do all once recording has
  /// failed, of which a warning tells. Results are valid until the next call.
  Tensors operator()(const Tensors& inputs);

  /// Whether the last call was a replay.
  bool replayed() const { return replayed_; }

 private:
  void record();

  Function function_;
  MakeRecorder make_recorder_;
  std::unique_ptr<GraphRecorder> recorder_;  // null until there is a recording
  Tensors inputs_, results_;                 // what it reads and writes
  std::int64_t calls_ = 0;                   // with inputs of these shapes, before it
  bool failed_ = false;
  bool replayed_ = false;
};

}  // namespace cdm
