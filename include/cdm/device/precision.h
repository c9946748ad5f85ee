// SPDX-License-Identifier: MIT
// The tensor types that each kind of floating-point arithmetic (key `precision`) stands for.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "cdm/config/config.h"

namespace cdm {

/// What a program does with a network. Keys that are `auto` depend on it.
enum class Work {
  training,  // with the samples and scores that are made during training
  sampling,  // from a trained model
  scoring,   // by a trained model: likelihoods and everything else that is measured
};

/// The arithmetic that `chosen` stands for, which is never `automatic`.
///
/// automatic is bf16 for training and sampling a UNet on a device with bf16 arithmetic, fp32 for
/// all else: on a CPU, on a GPU without bf16 (which has no TF32 either), for a network without a
/// body in bf16, and for scoring, because densities are compared in the third and fourth digit.
Arithmetic arithmetic_for(Arithmetic chosen, Work work, NetworkKind network, bool device_has_bf16);

/// The same for config.precision, the network of `config`, and `device`.
Arithmetic arithmetic_for(const RunConfig& config, Work work, at::Device device);

struct Precision {
  at::ScalarType type;  // of weights, logits and losses
  at::ScalarType body;  // of the network between its first layer and the pooled features
  bool tf32;            // whether a GPU may round the inputs of matrix products to TF32
};

/// `arithmetic` must not be automatic.
Precision precision_of(Arithmetic arithmetic);

/// Turns TF32 in matrix products and convolutions on a GPU on or off for this process.
void allow_tf32(bool on);

}  // namespace cdm
