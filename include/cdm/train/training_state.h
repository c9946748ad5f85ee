// SPDX-License-Identifier: MIT
// All that training needs to continue where it stopped. A checkpoint holds it.
#pragma once

#include <cstdint>
#include <vector>

#include "cdm/core/tensors.h"

namespace cdm {

struct TrainingState {
  std::int64_t step = 0;     // training steps taken, skipped ones included
  std::int64_t skipped = 0;  // steps skipped because their loss or gradient was NaN or infinite
  double seconds = 0.0;      // wall-clock training time so far, over all restarts of the run
  NamedTensors model;        // weights, under the authors' names
  NamedTensors ema;          // first moving average of the weights, same names
  std::vector<NamedTensors> more_emas;  // the other averages, in the order of the configuration
  NamedTensors exp_avg;                 // first moments, same names: Adam's, or Muon's momenta
  NamedTensors exp_avg_sq;  // Adam's second moments, same names but those that Muon updates
};

}  // namespace cdm
