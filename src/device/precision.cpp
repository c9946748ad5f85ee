// SPDX-License-Identifier: MIT
#include "cdm/device/precision.h"

#include <ATen/Context.h>
#include <c10/util/Exception.h>

#include "cdm/device/device.h"

namespace cdm {

Arithmetic arithmetic_for(Arithmetic chosen, Work work, NetworkKind network, bool device_has_bf16) {
  if (chosen != Arithmetic::automatic) return chosen;
  switch (work) {
    case Work::training:
    case Work::sampling:
      break;
    case Work::scoring:
      return Arithmetic::fp32;
  }
  return device_has_bf16 && network == NetworkKind::unet ? Arithmetic::bf16 : Arithmetic::fp32;
}

Arithmetic arithmetic_for(const RunConfig& config, Work work, at::Device device) {
  return arithmetic_for(config.precision, work, config.model.kind, has_bf16(device));
}

Precision precision_of(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::automatic:
      break;
    case Arithmetic::fp64:
      return {at::kDouble, at::kDouble, false};
    case Arithmetic::fp32:
      return {at::kFloat, at::kFloat, false};
    case Arithmetic::tf32:
      return {at::kFloat, at::kFloat, true};
    case Arithmetic::bf16:
      return {at::kFloat, at::kBFloat16, false};
  }
  TORCH_CHECK(false, "no tensor types for precision ", name_of(arithmetic));
}

void allow_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

}  // namespace cdm
