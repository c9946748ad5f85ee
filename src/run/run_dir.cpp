// SPDX-License-Identifier: MIT
#include "cdm/run/run_dir.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "config/keys.h"
#include "core/dead_link.h"

namespace cdm {

bool RunDir::has_config() const { return std::filesystem::exists(config()); }

bool RunDir::has_begun() const {
  std::error_code unknown;
  for (const std::filesystem::path& path : {lock(), metrics()}) {
    if (std::filesystem::exists(std::filesystem::symlink_status(path, unknown))) return true;
  }
  return std::filesystem::is_symlink(checkpoints(), unknown) ||
         (std::filesystem::exists(checkpoints(), unknown) &&
          !list_checkpoints(checkpoints()).empty());
}

void RunDir::keep_given_config() const {
  const std::filesystem::path kept = root_ / "config.given.yaml";
  std::filesystem::copy_file(config(), kept, std::filesystem::copy_options::overwrite_existing);
  log_info(concat(config().string(), ": kept as ", kept.filename().string(),
                  "; the run writes its own file there"));
}

void RunDir::save_config(const RunConfig& config) const {
  std::filesystem::create_directories(root_);
  write_atomically(this->config(), [&](std::ostream& out) { out << to_yaml(config); });
}

void RunDir::save(const TrainingState& checkpoint, const RunConfig& config,
                  std::int64_t keep) const {
  write_checkpoint(checkpoints(), checkpoint, config);
  if (keep == 0) return;
  const std::vector<std::filesystem::path> all = list_checkpoints(checkpoints());
  std::for_each(all.begin(), all.end() - std::min<std::ptrdiff_t>(keep, std::ssize(all)),
                [](const std::filesystem::path& old) {
                  std::error_code error;
                  std::filesystem::remove_all(old, error);
                  if (error)
                    log_warning(concat("cannot remove ", old.string(), ": ", error.message()));
                });
}

void RunDir::save_averages(const TrainingState& checkpoint, const RunConfig& config) const {
  write_averages(averages() / checkpoint_name(checkpoint.step), checkpoint, config);
}

std::optional<TrainingState> RunDir::newest_checkpoint(std::int64_t before) const {
  const std::vector<std::filesystem::path> all = list_checkpoints(checkpoints());
  for (auto path = all.rbegin(); path != all.rend(); ++path) {
    if (step_of(*path) >= before) continue;
    try {
      TrainingState found = read_checkpoint(*path);
      if (found.step == step_of(*path)) return found;
      throw UserError(concat(path->string(), ": holds step ", found.step,
                             ": the folder must be named ", checkpoint_name(found.step)));
    } catch (const DamagedCheckpoint& error) {
      log_warning(concat(error.what(), "; trying an older checkpoint"));
    }
  }
  if (before != kAnyStep) return std::nullopt;
  if (!all.empty()) {
    throw UserError(concat(checkpoints().string(), ": none of the ", all.size(),
                           " checkpoints can be read: all are damaged"));
  }
  return std::nullopt;
}

void RunDir::clear_away(std::int64_t step) const {
  std::error_code none;
  for (const std::filesystem::path& folder : {checkpoints(), averages()}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
      if (entry.path().filename().string().find(".tmp-") != std::string::npos) {
        std::filesystem::remove_all(entry.path());
      }
    }
  }
  for (const std::filesystem::path& later : list_checkpoints(averages())) {
    if (step_of(later) > step) std::filesystem::remove_all(later);
  }
  for (const std::filesystem::path& damaged : list_checkpoints(checkpoints())) {
    if (step_of(damaged) <= step) continue;
    std::filesystem::path aside = concat(damaged.string(), ".damaged");
    for (int number = 2; std::filesystem::exists(aside); ++number) {
      aside = concat(damaged.string(), ".damaged-", number);
    }
    std::filesystem::rename(damaged, aside);
    log_warning(concat(damaged.string(), ": damaged, kept as ", aside.filename().string()));
  }
}

void RunDir::require_writable() const {
  for (const std::filesystem::path& path : {config(), checkpoints(), averages(), metrics(),
                                            tensorboard(), samples(), skipped_steps(), log()}) {
    refuse_dead_link(path);
  }
  for (const std::filesystem::path& folder :
       {root_, checkpoints(), averages(), tensorboard(), samples()}) {
    // The destructor of the probe removes what it made.
    if (std::filesystem::exists(folder)) const AtomicFile probe(folder / "probe");
  }
  for (const std::filesystem::path& file : {metrics(), skipped_steps(), log()}) {
    if (!std::filesystem::exists(file)) continue;
    errno = 0;
    if (!std::ofstream(file, std::ios::app)) {
      throw std::runtime_error(concat("cannot write ", file.string(), ": ", std::strerror(errno)));
    }
  }
}

std::filesystem::path RunDir::set_aside() const {
  std::filesystem::path aside;
  for (int number = 1; aside.empty() || std::filesystem::exists(aside); ++number) {
    aside = root_ / concat("before-", number);
  }
  std::vector<std::filesystem::path> moved;
  // The checkpoints come first, because they matter most.
  for (const std::filesystem::path& path :
       {checkpoints(), config(), averages(), metrics(), tensorboard(), samples(), skipped_steps(),
        log(), root_ / "eval"}) {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::symlink_status(path, error);
    if (!std::filesystem::exists(status)) continue;
    std::filesystem::create_directories(aside);
    std::filesystem::rename(path, aside / path.filename(), error);
    if (error) {
      // A run of which only a part was moved could be neither resumed nor begun again.
      std::error_code ignored;
      for (const std::filesystem::path& back : moved) {
        std::filesystem::rename(aside / back.filename(), back, ignored);
      }
      std::filesystem::remove(aside, ignored);
      throw std::runtime_error(
          concat("cannot move ", path.string(), " to ", aside.string(), ": ", error.message()));
    }
    moved.push_back(path);
  }
  return moved.empty() ? std::filesystem::path() : aside;
}

std::vector<std::string> forbidden_changes(const RunConfig& saved, const RunConfig& wanted) {
  std::vector<std::string> changes;
  for (const Key& key : config_keys()) {
    // A key that applies to only one of the two is not compared: the key of the kind, which decides
    // whether it applies, differs and is reported.
    if (!key.applies_to(saved) || !key.applies_to(wanted)) continue;
    const std::string before = key.text(saved);
    const std::string after = key.text(wanted);
    if (key.resume == Resume::fixed && before != after) {
      changes.push_back(concat(key.full_name(), ": ", before, " -> ", after));
    }
  }
  return changes;
}

void require_same_run(const RunDir& run, const std::optional<TrainingState>& checkpoint,
                      const RunConfig& wanted) {
  if (!checkpoint && !run.has_config()) return;
  const std::filesystem::path source =
      checkpoint ? run.checkpoints() / checkpoint_name(checkpoint->step) : run.config();
  const std::vector<std::string> changes =
      forbidden_changes(checkpoint ? read_checkpoint_config(source) : load_config(source), wanted);
  if (changes.empty()) return;
  throw UserError(concat(source.string(),
                         ": the run was started with other values: ", join(changes, ", "),
                         "; set them back, or start another run with --run-dir"));
}

}  // namespace cdm
