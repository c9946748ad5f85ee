// SPDX-License-Identifier: MIT
// A function of tensors that is recorded once as a CUDA graph and then replayed, so that thousands
// of kernel launches become one. A replay repeats the same operations on new values: the function
// must not decide anything on the host by the values of its tensors or by other state.
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

  /// Calls `work` and records the operations that it starts on the device, without running them.
  /// Throws when one of them cannot be recorded.
  virtual void record(const std::function<void()>& work) = 0;

  /// Runs the recorded operations. They read and write the same memory as when they were recorded.
  virtual void replay() = 0;
};

using MakeRecorder = std::function<std::unique_ptr<GraphRecorder>()>;

/// Makes recorders of CUDA graphs on `device`. Making one throws std::runtime_error when
/// libcdm-graphs.so cannot be loaded, as in a build without CUDA.
MakeRecorder cuda_graphs(at::Device device);

class Recorded {
 public:
  using Tensors = std::vector<at::Tensor>;
  using Function = std::function<Tensors(const Tensors& inputs)>;

  Recorded(Function function, MakeRecorder make_recorder);

  /// The results of function(inputs), valid until the next call.
  ///
  /// The first call of some with inputs of the same shapes and types calls the function, so that
  /// libraries can choose and load their kernels. The second records it. That call, and later ones
  /// with the same shapes and types, are replays; all others call the function. If recording fails,
  /// a warning gives the reason, and from then on every call calls the function.
  Tensors operator()(const Tensors& inputs);

  /// Whether the last call was a replay.
  bool replayed() const { return replayed_; }

  /// Whether recording has failed.
  bool failed() const { return failed_; }

 private:
  void record();

  Function function_;
  MakeRecorder make_recorder_;
  std::unique_ptr<GraphRecorder> recorder_;  // null before the recording
  Tensors inputs_, results_;                 // the memory that the recording reads and writes
  std::int64_t calls_ = 0;                   // in a row with inputs of these shapes, before it
  bool failed_ = false;
  bool replayed_ = false;
};

}  // namespace cdm
