// SPDX-License-Identifier: MIT
#include "cdm/run/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <ostream>
#include <stdexcept>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "config/keys.h"

namespace cdm {
bool RunDir::has_config() const { return std::filesystem::exists(config()); }

void RunDir::save_config(const RunConfig& config) const {
  std::filesystem::create_directories(root_);
  write_atomically(this->config(), [&](std::ostream& out) { out << to_yaml(config); });
}

void RunDir::save(const TrainingState& checkpoint, std::int64_t keep) const {
  write_checkpoint(checkpoints(), checkpoint);
  if (keep == 0) return;
  const std::vector<std::filesystem::path> all = list_checkpoints(checkpoints());
  std::for_each(all.begin(), all.end() - std::min<std::ptrdiff_t>(keep, std::ssize(all)),
                [](const auto& old) { std::filesystem::remove_all(old); });
}

std::optional<TrainingState> RunDir::newest_checkpoint(std::int64_t before) const {
  const std::vector<std::filesystem::path> all = list_checkpoints(checkpoints());
  for (auto path = all.rbegin(); path != all.rend(); ++path) {
    if (step_of(*path) >= before) continue;
    try {
      return read_checkpoint(*path);
    } catch (const UserError& error) {
      log_warning(concat(error.what(), "; trying an older checkpoint"));
    }
  }
  if (before != kAnyStep) return std::nullopt;
  if (!all.empty()) {
    throw UserError(concat(checkpoints().string(), ": none of the ", all.size(),
                           " checkpoints can be read; move the run directory away to start anew"));
  }
  return std::nullopt;
}

void RunDir::clear_away(std::int64_t step) const {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints(), none)) {
    if (entry.path().filename().string().find(".tmp-") != std::string::npos) {
      std::filesystem::remove_all(entry.path());
    }
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

RunLock::RunLock(const RunDir& run) {
  const std::filesystem::path file = run.root() / ".lock";
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw std::runtime_error(concat("cannot write ", file.string(), ": ", std::strerror(errno)));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    throw UserError(concat(run.root().string(), ": another process is training in this folder"));
  }
}

RunLock::~RunLock() { ::close(descriptor_); }

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

void require_same_run(const RunDir& run, const RunConfig& wanted) {
  const std::vector<std::string> changes = forbidden_changes(load_config(run.config()), wanted);
  if (changes.empty()) return;
  throw UserError(concat(run.config().string(),
                         ": the run was started with other values: ", join(changes, ", "),
                         "; set them back, or start another run with --run-dir"));
}

ModelFiles find_model(const std::filesystem::path& path) {
  const RunDir run(path);
  if (run.has_config()) {
    const std::vector<std::filesystem::path> all = list_checkpoints(run.checkpoints());
    if (all.empty()) throw UserError(concat(path.string(), ": this run has no checkpoint yet"));
    return {run.config(), all.back()};
  }
  const std::filesystem::path folder =
      std::filesystem::absolute(path / "").lexically_normal().parent_path();
  const RunDir around(folder.parent_path().parent_path());
  if (std::filesystem::exists(folder / "state.json") && around.has_config()) {
    return {around.config(), folder};
  }
  throw UserError(concat(path.string(),
                         std::filesystem::exists(path) ? ": is not a" : ": there is no",
                         " run directory (with config.yaml) or checkpoint of one"));
}

}  // namespace cdm
