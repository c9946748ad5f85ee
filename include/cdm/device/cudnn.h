// SPDX-License-Identifier: MIT
// How cuDNN chooses the algorithms of convolutions on a GPU (key cudnn_autotuning).
#pragma once

#include "cdm/config/kinds.h"
#include "cdm/device/precision.h"

namespace cdm {

struct CudnnChoice {
  bool timed;        // times the algorithms for each new shape, and takes the fastest
  bool fixed_order;  // leaves out algorithms that add in an order that differs from run to run

  bool operator==(const CudnnChoice&) const = default;
};

/// automatic is timed for sampling and scoring. In training it is not: two processes can time
/// differently and choose different algorithms, and then a resumed run does not repeat the numbers
/// of an uninterrupted one. For the same reason only algorithms of fixed order are used then.
/// `off` is neither: cuDNN chooses by its rules, among all algorithms.
CudnnChoice cudnn_choice(Autotuning chosen, Work work);

/// Makes the choice for this process.
void set_cudnn(const CudnnChoice& choice);

}  // namespace cdm
