// SPDX-License-Identifier: MIT
#include "cdm/device/precision.h"

#include <ATen/Context.h>
#include <c10/util/Exception.h>

namespace cdm {

Precision precision_of(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::fp64:
      return {at::kDouble, at::kDouble, false};
    case Arithmetic::fp32:
      return {at::kFloat, at::kFloat, false};
    case Arithmetic::tf32:
      return {at::kFloat, at::kFloat, true};
    case Arithmetic::bf16:
      return {at::kFloat, at::kBFloat16, false};
  }
  TORCH_CHECK(false, "no such arithmetic");
}

void allow_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

}  // namespace cdm
