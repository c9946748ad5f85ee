// SPDX-License-Identifier: MIT
#include "run/lost_checkpoints.h"

#include <cstdint>
#include <string>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/run/metrics.h"
#include "cdm/run/run_lock.h"

namespace cdm {
namespace {

/// How we know that there was a checkpoint; empty when we do not.
std::string sign_of_checkpoint(const RunDir& run) {
  const std::string noted = noted_checkpoint(run);
  if (!noted.empty()) return concat(printable(noted), " was saved");
  const std::int64_t step = last_step_in(run.metrics());
  if (step == 0) return "";
  const std::string logged = concat(run.metrics().filename().string(), " goes to step ", step);
  if (!run.has_config()) return concat(logged, ", and there is no config.yaml");
  const TrainConfig train = load_config(run.config()).train;
  if (step >= train.iterations) return concat(logged, ", the last one");
  const std::int64_t every = train.checkpoint_every;
  if (every == 0 || step <= every) return "";
  return concat(logged, ", and train.checkpoint_every is ", every);
}

}  // namespace

void refuse_lost_checkpoints(const RunDir& run) {
  const std::string sign = sign_of_checkpoint(run);
  if (sign.empty()) return;
  throw UserError(
      concat(run.checkpoints().string(), ": the checkpoints of this run are missing (", sign, ")"));
}

}  // namespace cdm
