// SPDX-License-Identifier: MIT
// Clipping, Adam, weight decay, moving averages and the counts of steps in one pass over the
// gradients and one over the weights: 4 and 36 bytes for each weight in float32, and 8 for each
// average beyond the first. Nothing in it depends on numbers of the host but the rules, so it can
// be part of a recorded CUDA graph: learning rate, decay and bias corrections are computed on the
// device, from the counts and the time there. Muon's weights are updated between the two passes, by
// ATen's operations.
//
// The GPU runs it as kernels (update_kernels.cu), the CPU as loops of the same arithmetic.
// Trainings on the CPU use ATen's operations instead (optimizer.h); the loops are for tests.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/train/muon.h"
#include "train/update_block.h"

namespace cdm {

/// The rules that `config` gives.
UpdateRules update_rules(const TrainConfig& config);

class FusedUpdate {
 public:
  using Tensors = std::vector<at::Tensor>;

  /// What is updated in place: per parameter a tensor of one type (float32 or float64), dense, all
  /// of a parameter in the same layout. Moments are undefined for the weights that `muon` updates,
  /// which must outlive this object. `averages` has the tensors of one average after those of
  /// another. `decays` says for each parameter whether weight decay applies to it. `counts`, int64
  /// [2], are the steps taken and those skipped among them. `time_used`, a float64 scalar, is read
  /// only (learning_rate_at() in optimizer.h). All are on one device.
  struct State {
    Tensors weights, first_moments, second_moments;
    std::vector<Tensors> averages;
    std::vector<bool> decays;
    at::Tensor counts, time_used;
    Muon* muon = nullptr;  // null: Adam updates all weights
  };

  FusedUpdate(State state, const TrainConfig& config);

  struct Result {
    at::Tensor gradient_norm;  // before clipping: a scalar in the weights' type
    at::Tensor skipped;        // float32 scalar: 1 when loss or norm was NaN or infinite, else 0
  };

  /// The update of one step by `gradients`, in the order of the parameters. A skipped step changes
  /// the counts only. The host does not wait for a GPU.
  Result operator()(const Tensors& gradients, const at::Tensor& loss);

 private:
  void update_by_muon(const Tensors& gradients, const at::Tensor& skipped);
  template <class T>
  Result of_type(const Tensors& gradients, const at::Tensor& loss);

  State state_;
  UpdateRules rules_;
  at::Tensor partial_;  // float64: the sum of squares of each chunk
  at::Tensor factors_;  // an UpdateFactors as float64 numbers
};

/// Whether FusedUpdate gives the same on `device` as on the CPU. If not, or when it cannot run
/// there, a warning gives the reason.
bool fused_update_works(at::Device device);

}  // namespace cdm
