// SPDX-License-Identifier: MIT
#include "cdm/run/prepare.h"

#include <ATen/core/Tensor.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/classes.h"
#include "cdm/data/subset.h"
#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"
#include "cdm/run/run_lock.h"
#include "cdm/sample/sample.h"
#include "run/lost_checkpoints.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

/// Throws UserError unless every label is one of the model's classes.
void check_labels_suit(const RunConfig& config, const Dataset& dataset) {
  const std::int64_t classes = config.model.num_classes;
  if (classes == 0) return;
  if (!dataset.labels.defined()) {
    throw UserError(concat("model.num_classes = ", classes, ": ", dataset.description,
                           " has no labels; set it to 0"));
  }
  const auto largest = dataset.labels.max().item<std::int64_t>();
  if (largest >= classes) {
    throw UserError(concat("model.num_classes = ", classes, ": ", dataset.description,
                           " has labels up to ", largest, ", so at least ", largest + 1,
                           " classes are needed"));
  }
}

/// Throws UserError when the data name their classes, and there are more or fewer of them than the
/// model has. (Numbers alone do not tell: a class may have no image.)
void check_named_classes(const RunConfig& config, const Dataset& train) {
  const std::int64_t classes = config.model.num_classes;
  const auto named = static_cast<std::int64_t>(train.class_names.size());
  if (classes == 0 || named == 0 || classes == named) return;
  throw UserError(concat("model.num_classes = ", classes, ": ", train.description, " has ", named,
                         " classes (", printable(join(train.class_names, ", ")), "); set it to ",
                         named, ", or to 0 for a model without classes"));
}

/// Throws UserError when the names of the data's classes cannot be kept in a configuration: it
/// holds UTF-8, and tells classes by their names.
void check_names_can_be_kept(const Dataset& train) {
  const std::vector<std::string>& names = train.class_names;
  for (const std::string& name : names) {
    if (name.empty() || !is_utf8(name)) {
      throw UserError(concat(train.description, ": the class ", in_quotes(name),
                             " has a name that is empty or not UTF-8; give it another"));
    }
    if (std::count(names.begin(), names.end(), name) > 1) {
      throw UserError(concat(train.description, ": two classes have the name ", in_quotes(name)));
    }
  }
}

/// The test images that are scored during training; nothing when train.nll_every is 0 or the model
/// has no density.
std::optional<Dataset> test_images(const RunConfig& given, const RunConfig& config) {
  if (config.train.nll_every == 0 || config.model.predicts == Prediction::noise)
    return std::nullopt;
  Dataset test = spread_subset(load_classes(config, Split::test), config.train.nll_images);
  check_labels_suit(config, test);
  if (!test.conversion.empty() && config.data.kind != DataKind::celeba) {
    const std::string what = concat(test.description, ": ", test.conversion);
    if (given.data.image_size == 0 && test.conversion.starts_with("resized")) {
      throw UserError(concat(what,
                             ", because the training images are of another size; set "
                             "data.image_size = ",
                             config.data.image_size, " if that is meant"));
    }
    log_info_once(what);
  }
  return test;
}

/// The folder itself if it is there, else the nearest folder above it that is.
fs::path nearest_existing(const fs::path& folder) {
  fs::path at = fs::absolute(folder).lexically_normal();
  std::error_code none;
  while (!fs::exists(fs::symlink_status(at, none)) && at != at.parent_path()) at = at.parent_path();
  return at;
}

}  // namespace

RunConfig resolve(const RunConfig& config, const Dataset& train) {
  RunConfig resolved = config;
  resolved.data.image_size = train.image_size();
  resolved.data.channels = train.channels();
  resolved.model = settle_resolutions(config.model, train.image_size());
  if (config.train.sample_every > 0) {
    check_sampling(NoiseSchedule(config.diffusion), config.model.predicts, config.sample);
  }
  if (config.data.shift >= train.image_size()) {
    throw UserError(concat("data.shift = ", config.data.shift, ": must be below ",
                           train.image_size(), ", the width of the images in ", train.description));
  }
  check_labels_suit(config, train);
  check_named_classes(config, train);
  if (config.model.num_classes > 0) {
    check_names_can_be_kept(train);
    if (config.model.class_names.empty()) resolved.model.class_names = train.class_names;
    resolved.model.untrained_classes = classes_without_images(train, config.model.num_classes);
    if (!config.model.untrained_classes.empty() &&
        config.model.untrained_classes != resolved.model.untrained_classes) {
      throw UserError(concat("model.untrained_classes: is not what ", train.description,
                             " says; leave it out, it is found from the data"));
    }
  }
  return resolved;
}

RunConfig with_classes_of(const RunDir& run, RunConfig config) {
  if (config.model.num_classes > 0 && config.model.class_names.empty() && run.has_config()) {
    config.model.class_names = load_config(run.config()).model.class_names;
  }
  return config;
}

Dataset load_training_images(const RunConfig& config) {
  const std::vector<std::string>& names = config.model.class_names;
  Dataset dataset = load_dataset(config.data, Split::train);
  if (!names.empty()) require_same_classes(dataset, names, "model.class_names");
  return with_classes(std::move(dataset), names);
}

PreparedTraining prepare_training(const RunConfig& config, const RunDir& run,
                                  const ProcessGroup& group, Begin begin) {
  const RunConfig named = begin == Begin::resume ? with_classes_of(run, config) : config;
  PreparedTraining start;
  start.train = load_training_images(named);
  start.config = resolve(named, start.train);
  start.test = test_images(config, start.config);
  if (config.train.batch_size < group.size()) {
    throw UserError(concat("train.batch_size = ", config.train.batch_size, ": must be at least ",
                           group.size(), ", one image for each process"));
  }
  group.require_equal(concat(to_yaml(start.config), start.train.size()),
                      "the configuration or the data");
  return start;
}

std::optional<TrainingState> checkpoint_to_resume(const RunDir& run, const RunConfig& config) {
  std::optional<TrainingState> found;
  try {
    found = run.newest_checkpoint();
    if (!found) refuse_lost_checkpoints(run);
  } catch (const UserError& error) {
    throw UserError(concat(error.what(),
                           "; put that right, or begin again with --from-scratch, which moves the "
                           "files of the run to a folder before-1 in it"));
  }
  require_same_run(run, found, config);
  return found;
}

void require_makeable(const RunDir& run) {
  if (fs::is_directory(run.root())) return;
  std::string probe = (nearest_existing(run.root()) / ".cdm-XXXXXX").string();
  if (::mkdtemp(probe.data()) == nullptr) {
    throw std::runtime_error(
        concat("cannot write in ", run.root().string(), ": ", std::strerror(errno)));
  }
  ::rmdir(probe.c_str());
}

void check_run_folder(const RunDir& run, const RunConfig& config, Begin begin) {
  require_not_in_use(run);
  const bool is_given = run.has_config() && !run.has_begun();  // there is no run yet
  if (begin == Begin::resume && !is_given) checkpoint_to_resume(run, config);
  require_makeable(run);
  if (fs::is_directory(run.root())) run.require_writable();
}

}  // namespace cdm
