// SPDX-License-Identifier: MIT
#include "cdm/device/precision.h"

#include <ATen/Context.h>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {

Precision parse_precision(const std::string& name) {
  if (name == "fp64") return {at::kDouble, at::kDouble, false};
  if (name == "fp32") return {at::kFloat, at::kFloat, false};
  if (name == "tf32") return {at::kFloat, at::kFloat, true};
  if (name == "bf16") return {at::kFloat, at::kBFloat16, false};
  throw UserError(concat("precision ", name, ": must be fp64, fp32, tf32 or bf16"));
}

void allow_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

}  // namespace cdm
