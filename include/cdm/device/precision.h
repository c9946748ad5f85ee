// SPDX-License-Identifier: MIT
// What each kind of floating-point arithmetic means for tensors.
#pragma once

#include <c10/core/ScalarType.h>

#include "cdm/config/kinds.h"

namespace cdm {

struct Precision {
  at::ScalarType type;  // of weights, logits and losses
  at::ScalarType body;  // of the network between its first layer and the pooled features
  bool tf32;            // whether matrix products on the GPU may round their inputs to TF32
};

Precision precision_of(Arithmetic arithmetic);

/// Turns TF32 on or off for this process.
void allow_tf32(bool on);

}  // namespace cdm
