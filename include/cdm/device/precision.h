// SPDX-License-Identifier: MIT
// Floating-point arithmetic by name.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace cdm {

struct Precision {
  at::ScalarType type;  // of weights, logits and losses
  at::ScalarType body;  // of the network between its first layer and the pooled features
  bool tf32;            // whether matrix products on the GPU may round their inputs to TF32
};

/// fp64, fp32, tf32 or bf16 (a bf16 body under fp32 weights). Throws UserError for another name.
Precision parse_precision(const std::string& name);

/// Turns TF32 on or off for this process.
void allow_tf32(bool on);

}  // namespace cdm
