// SPDX-License-Identifier: MIT
// What comes before the first step of a training: its data are loaded, its configuration is
// settled, and everything is checked that can be checked without training. A training and a dry run
// use the same functions, so that they refuse the same.
#pragma once

#include <optional>

#include "cdm/config/config.h"
#include "cdm/data/dataset.h"
#include "cdm/distributed/process_group.h"
#include "cdm/run/run_dir.h"

namespace cdm {

/// What becomes of a run that is in the run directory already.
enum class Begin {
  resume,        // it is resumed at its newest checkpoint
  from_scratch,  // its files are moved aside (RunDir::set_aside()), and a new run begins
};

/// `config` with what the training data say: data.image_size, data.channels, and
/// model.channel_mult = [] settled for that size. Throws UserError when labels are missing or out
/// of range for model.num_classes, when the data name another number of classes, and when
/// train.sample_every asks for samples that cannot be drawn (check_sampling()). For a
/// class-conditional model it also sets model.untrained_classes, and model.class_names if they are
/// empty and the data name their classes.
RunConfig resolve(const RunConfig& config, const Dataset& train);

/// `config` with the model.class_names of the run in `run`, if it has been started and `config`
/// does not give any. A class then keeps its number when the run is resumed.
RunConfig with_classes_of(const RunDir& run, RunConfig config);

/// The training split, with labels numbered as model.class_names says. Throws UserError, naming the
/// classes, when the data name their classes and these are not those of model.class_names.
Dataset load_training_images(const RunConfig& config);

/// What a training starts from.
struct PreparedTraining {
  RunConfig config;  // resolved
  Dataset train;
  std::optional<Dataset> test;  // the images that are scored during training
};

/// Loads the data and resolves the configuration. Throws UserError for data that do not suit the
/// configuration, for a batch of fewer images than there are processes, and for processes that
/// differ in configuration or data. Every process of the group calls it. Writes nothing.
PreparedTraining prepare_training(const RunConfig& config, const RunDir& run,
                                  const ProcessGroup& group, Begin begin = Begin::resume);

/// The newest checkpoint of a run that is to be resumed with `config`; nothing when there is no run
/// yet, or when it was stopped before its first checkpoint. Throws UserError, saying how to go on,
/// when a checkpoint cannot be read, when all have been lost, and when `config` differs from the
/// run's in keys that must not change.
std::optional<TrainingState> checkpoint_to_resume(const RunDir& run, const RunConfig& config);

/// Throws std::runtime_error, naming the run directory and the reason, when it does not exist and
/// cannot be made. (A folder that is made and removed again tells more than permissions do.)
void require_makeable(const RunDir& run);

/// All that is checked of a run directory before training begins in it, for the process of rank 0:
/// that no other process trains there, checkpoint_to_resume(), and that it can be written. Throws
/// UserError, or std::runtime_error for what cannot be written. Leaves nothing on disk.
void check_run_folder(const RunDir& run, const RunConfig& config, Begin begin);

}  // namespace cdm
