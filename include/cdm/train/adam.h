// SPDX-License-Identifier: MIT
// Adam and AdamW.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// Whether weight decay applies to a parameter: to matrices and convolution kernels, but not to
/// biases, normalisations and class embeddings.
bool weight_decays(const std::string& name, const at::Tensor& value);

/// Adam (Kingma and Ba, 2015) with ATen's fused kernel. It changes the parameters in place. Weight
/// decay is decoupled (AdamW; Loshchilov and Hutter, 2019): before the update, those parameters for
/// which weight_decays() are multiplied by 1 - learning_rate * weight_decay.
class Adam {
 public:
  Adam(const NamedTensors& parameters, const TrainConfig& config);

  /// One update with `gradients`, in the order of the parameters. `skipped` is a float32 scalar on
  /// the parameters' device: 1 means that nothing changes, 0 (or an undefined tensor) that the
  /// update is made. The device reads it, so the host does not wait.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate,
            const at::Tensor& skipped = {});

  /// The moments under the parameters' names. Their tensors are Adam's own, not copies.
  NamedTensors first_moments() const { return with_names(first_); }
  NamedTensors second_moments() const { return with_names(second_); }
  /// Copies moments, which must have the parameters' names and order, and the number of updates
  /// that made them.
  void load(const NamedTensors& first, const NamedTensors& second, std::int64_t updates);

 private:
  NamedTensors with_names(const std::vector<at::Tensor>& tensors) const;
  /// The update of the parameters for which `decays_` is `decays`.
  void update(const std::vector<at::Tensor>& gradients, double learning_rate,
              const at::Tensor& skipped, bool decays);

  NamedTensors parameters_;
  std::vector<bool> decays_;  // all false without weight decay
  std::vector<at::Tensor> values_, first_, second_;
  at::Tensor updates_;  // number of updates made: a float32 scalar on the parameters' device
  double beta1_, beta2_, eps_, weight_decay_;
};

}  // namespace cdm
