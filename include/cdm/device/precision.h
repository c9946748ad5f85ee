// SPDX-License-Identifier: MIT
// The tensor types that each kind of floating-point arithmetic (key `precision`) stands for.
#pragma once

#include <c10/core/ScalarType.h>

#include "cdm/config/kinds.h"

namespace cdm {

struct Precision {
  at::ScalarType type;  // of weights, logits and losses
  at::ScalarType body;  // of the network between its first layer and the pooled features
  bool tf32;            // whether a GPU may round the inputs of matrix products to TF32
};

Precision precision_of(Arithmetic arithmetic);

/// Turns TF32 in matrix products and convolutions on a GPU on or off for this process.
void allow_tf32(bool on);

}  // namespace cdm
