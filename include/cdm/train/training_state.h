// SPDX-License-Identifier: MIT
// Everything that training needs to go on where it stopped: what a checkpoint holds.
#pragma once

#include <cstdint>

#include "cdm/core/tensors.h"

namespace cdm {

struct TrainingState {
  std::int64_t step = 0;     // training steps taken, the skipped ones included
  std::int64_t skipped = 0;  // steps whose loss or gradient was not finite; they changed no weight
  double seconds = 0.0;      // training time so far, summed over every process that trained the run
  NamedTensors model;        // weights, under the authors' names
  NamedTensors ema;          // exponential moving average of the weights, same names
  NamedTensors exp_avg;      // Adam's first moments, same names
  NamedTensors exp_avg_sq;   // Adam's second moments, same names
};

}  // namespace cdm
