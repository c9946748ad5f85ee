// SPDX-License-Identifier: MIT
#include "cdm/device/cudnn.h"

#include <ATen/Context.h>

namespace cdm {

CudnnChoice cudnn_choice(Autotuning chosen, Work work) {
  switch (chosen) {
    case Autotuning::automatic:
      return {.timed = work != Work::training, .fixed_order = work == Work::training};
    case Autotuning::on:
      return {.timed = true, .fixed_order = false};
    case Autotuning::off:
      break;
  }
  return {.timed = false, .fixed_order = false};
}

void set_cudnn(const CudnnChoice& choice) {
  at::globalContext().setBenchmarkCuDNN(choice.timed);
  at::globalContext().setDeterministicCuDNN(choice.fixed_order);
}

}  // namespace cdm
