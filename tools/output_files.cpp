// SPDX-License-Identifier: MIT
#include "output_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/json_text.h"
#include "cdm/core/output_target.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 10> kSuffixes = {
    ".csv", ".json", ".npy", ".npz", ".png", ".pt", ".pth", ".safetensors", ".yaml", ".yml"};

/// One path for every path of the same file: absolute, without links. Empty for what may be written
/// several times at once.
fs::path one_path_of(const std::string& file) {
  const OutputTarget target = find_output_target(file);
  std::error_code ignored;
  if (target.is_stream && target.descriptor < 0 && fs::is_character_file(file, ignored)) return {};
  const fs::path whole = fs::weakly_canonical(fs::absolute(target.path), ignored);
  // A folder that cannot be looked into is no error here: require_writable_file() says why.
  return ignored ? fs::absolute(target.path) : whole;
}

/// The same for an input, which may be anything.
fs::path one_path_of_input(const std::string& file) {
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(file), ignored);
}

/// Throws for a file that must not be replaced, although its folder allows that: one that its owner
/// has protected from writing, and those that a run or a checkpoint consists of.
void refuse_to_replace(const std::string& file, const fs::path& target) {
  static const std::set<std::string> of_run = {"config.yaml", "metrics.jsonl", "log.txt", ".lock",
                                               "skipped_steps.jsonl"};
  const fs::path folder = fs::absolute(target).parent_path();
  const std::string name = target.filename().string();
  std::error_code unknown;  // AtomicFile says what is wrong with the path
  const bool is_of_run = of_run.contains(name) && fs::exists(folder / "checkpoints", unknown);
  if (is_of_run || fs::exists(folder / "state.json", unknown)) {
    throw UserError(concat(file, ": ",
                           is_of_run ? "belongs to the run in " : "is in the checkpoint ",
                           folder.string(), "; choose another place"));
  }
  if (fs::exists(target, unknown) && ::access(target.c_str(), W_OK) != 0) {
    throw std::runtime_error(concat("cannot write ", file, ": ", std::strerror(errno)));
  }
}

}  // namespace

void require_writable_file(const std::string& file) {
  if (file.empty()) return;
  const fs::path folder = fs::path(file).parent_path();
  if (!folder.empty() && !fs::is_directory(folder)) {
    const bool exists = fs::exists(folder);
    throw UserError(concat(file, exists ? ": " : ": the folder ", folder.string(),
                           exists ? " is not a folder" : " does not exist"));
  }
  const OutputTarget target = find_output_target(file);
  if (!target.is_stream) refuse_to_replace(file, target.path);
  const AtomicFile probe(file);  // its destructor removes the temporary file
}

void require_suffix(const NamedFile& output, const std::string& suffix) {
  if (output.file.empty()) return;
  const std::string given = lower_case(fs::path(output.file).extension().string());
  if (given == suffix || std::find(kSuffixes.begin(), kSuffixes.end(), given) == kSuffixes.end() ||
      find_output_target(output.file).is_stream) {
    return;
  }
  throw UserError(
      concat(output.option, " ", output.file, ": writes ", suffix, " files, not ", given));
}

void require_distinct(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& inputs) {
  std::map<fs::path, const NamedFile*> seen;
  for (const NamedFile& input : inputs) {
    if (!input.file.empty()) seen.emplace(one_path_of_input(input.file), &input);
  }
  for (const NamedFile& output : outputs) {
    if (output.file.empty()) continue;
    const fs::path path = one_path_of(output.file);
    if (path.empty()) continue;
    const auto [other, is_new] = seen.emplace(path, &output);
    if (is_new) continue;
    throw UserError(concat(output.option, " ", output.file, ": is the same file as ",
                           other->second->option, " ", other->second->file));
  }
}

std::string settings_file(const std::string& output) {
  return output.empty() || find_output_target(output).is_stream ? "" : output + ".json";
}

void write_json(const std::string& file, const nlohmann::ordered_json& json) {
  write_atomically(file, [&](std::ostream& out) { out << json_text(json, 2) << '\n'; });
}

void require_space(const std::vector<PlannedFile>& files, const std::string& option) {
  std::map<::dev_t, std::int64_t> needed;  // bytes in each file system
  for (const PlannedFile& file : files) {
    const OutputTarget target = find_output_target(file.name);
    std::error_code error;
    const fs::path folder =
        target.is_stream ? fs::temp_directory_path(error) : fs::absolute(target.path).parent_path();
    struct ::stat status = {};
    const fs::space_info space = fs::space(folder, error);
    if (error || ::stat(folder.c_str(), &status) != 0) continue;  // writing the file will fail
    if (space.capacity == 0) continue;  // this file system does not tell its size
    std::int64_t& sum = needed[status.st_dev];
    sum += file.bytes;
    if (static_cast<std::uint64_t>(sum) > space.available) {
      throw UserError(concat(option, ": ", format_bytes(sum), " are to be written to ",
                             folder.string(), ", which has room for ",
                             format_bytes(static_cast<std::int64_t>(space.available))));
    }
  }
}

}  // namespace cdm
