// SPDX-License-Identifier: MIT
// Averages of the weights of any width, made after training of the ones that a run has stored
// (train/power_average.h).
#pragma once

#include <cstdint>

#include "cdm/config/config.h"
#include "cdm/run/model_files.h"
#include "cdm/train/training_state.h"

namespace cdm {

struct MadeAverage {
  TrainingState state;       // the step, and the average in `ema`; the rest is empty
  RunConfig config;          // of the run, with train.ema_sigma_rel = the width
  std::int64_t sources = 0;  // number of averages that it is made of
  double error = 0.0;        // see Combination
};

/// The average of width `sigma_rel` (0.001 .. 0.28) after the steps of the checkpoint `model`, made
/// of the averages in the checkpoint and of those that its run stored before (train.average_every).
/// Throws UserError unless train.ema_kind is power, and as read_checkpoint() does.
MadeAverage make_average(const ModelFiles& model, double sigma_rel);

}  // namespace cdm
