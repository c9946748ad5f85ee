// SPDX-License-Identifier: MIT
#include "cdm/run/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "cdm/config/parse_config.h"
#include "cdm/core/file.h"
#include "cdm/core/json_text.h"
#include "cdm/core/text.h"
#include "cdm/io/safetensors.h"
#include "core/dead_link.h"

namespace cdm {
namespace {

constexpr int kFormat = 2;
constexpr std::string_view kPrefix = "step-";
constexpr const char* kModel = "model";
constexpr const char* kAverage = "ema";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kStateCrc = "crc32";
constexpr const char* kConfig = "config";
constexpr std::string_view kFirstMoment = "exp_avg.";
constexpr std::string_view kSecondMoment = "exp_avg_sq.";

std::uint32_t crc_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string file_of(const std::string& weights) { return weights + ".safetensors"; }

NamedTensors with_prefix(std::string_view prefix, const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) out.emplace_back(concat(prefix, name), tensor);
  return out;
}

NamedTensors without_prefix(std::string_view prefix, const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) out.emplace_back(name.substr(prefix.size()), tensor);
  }
  return out;
}

/// CRC-32 of the content of state.json without the CRC itself. White space does not matter.
std::uint32_t crc_of_state(nlohmann::json state) {
  state.erase(kStateCrc);
  return crc_of(json_text(state));
}

DamagedCheckpoint damaged(const std::filesystem::path& file, const std::string& reason) {
  return DamagedCheckpoint(concat(file.string(), ": damaged: ", reason));
}

/// The bytes of one file of a checkpoint.
std::string read_part(const std::filesystem::path& file) {
  refuse_dead_link(file);
  std::error_code error;
  if (!std::filesystem::exists(file, error) && !error) throw damaged(file, "it is missing");
  return read_file(file);
}

/// What state.json holds. Asking for an entry that is missing or has another type throws
/// DamagedCheckpoint.
class State {
 public:
  /// Reads state.json of a checkpoint folder, and checks its format and CRC-32. The format comes
  /// first: another format may compute the CRC in another way.
  explicit State(const std::filesystem::path& folder) : file_(folder / kState) {
    refuse_dead_link(folder);
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error) && !error) {
      throw UserError(concat(folder.string(), ": is not a checkpoint (a folder is needed)"));
    }
    json_ = nlohmann::json::parse(read_part(file_), nullptr, /*allow_exceptions=*/false);
    if (json_.is_discarded()) throw damaged(file_, "it is cut short or not JSON");
    if (const auto format = get<std::int64_t>("format"); format != kFormat) {
      throw UserError(
          concat(file_.string(), ": format ", format, " is not known here, only ", kFormat));
    }
    if (get<std::uint32_t>(kStateCrc) != crc_of_state(json_)) {
      throw damaged(file_, "its checksum is wrong");
    }
  }

  const std::filesystem::path& file() const { return file_; }

  template <class T>
  T get(const char* name) const {
    return checked(name, [&] { return json_.at(name).get<T>(); });
  }
  /// Whether the checkpoint has a file of that name.
  bool has_file(const std::string& name) const {
    return checked("files", [&] { return json_.at("files").contains(name); });
  }
  /// The size and the CRC-32 of another file of the checkpoint.
  std::pair<std::uint64_t, std::uint32_t> size_and_crc(const std::string& name) const {
    return checked(name, [&] {
      const nlohmann::json& entry = json_.at("files").at(name);
      return std::pair(entry.at("bytes").get<std::uint64_t>(),
                       entry.at("crc32").get<std::uint32_t>());
    });
  }

 private:
  template <class Get>
  auto checked(const std::string& name, const Get& get) const -> decltype(get()) try {
    return get();
  } catch (const nlohmann::json::exception&) {
    throw damaged(file_, concat("its entry '", name, "' is missing or of another type"));
  }

  std::filesystem::path file_;
  nlohmann::json json_;
};

/// Reads the tensors of one file, and checks its size and CRC-32 against state.json.
NamedTensors read_checked(const std::filesystem::path& path, const State& state) {
  const std::string bytes = read_part(path);
  if (state.size_and_crc(path.filename().string()) != std::pair(bytes.size(), crc_of(bytes))) {
    throw damaged(path, concat("its size or checksum differs from that in ", kState));
  }
  return parse_safetensors(bytes, path.string()).tensors;
}

/// Renames the folder `made` to `path`. A folder that is already there is removed afterwards.
/// Throws std::filesystem::filesystem_error when that fails; the folder at `path` is then kept.
void put_in_place(const std::filesystem::path& made, const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::filesystem::rename(made, path);
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    std::filesystem::remove_all(made);
    return;
  }
  // This file system cannot exchange two names, or renaming is not possible at all, which the first
  // rename here finds out. For a moment, neither folder is at `path`.
  const std::filesystem::path old = concat(made.string(), "-old");
  std::filesystem::rename(path, old);
  try {
    std::filesystem::rename(made, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::rename(old, path, ignored);
    throw;
  }
  std::filesystem::remove_all(old);
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  constexpr std::size_t kDigits = 8;
  std::string digits = std::to_string(step);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return concat(kPrefix, digits);
}

namespace {

/// The files of averages, with their names.
std::vector<std::pair<std::string, NamedTensors>> files_of_averages(
    const TrainingState& checkpoint) {
  std::vector<std::pair<std::string, NamedTensors>> files;
  files.emplace_back(file_of(average_name(0)), checkpoint.ema);
  for (const NamedTensors& average : checkpoint.more_emas) {
    files.emplace_back(file_of(average_name(std::ssize(files))), average);
  }
  return files;
}

void write_folder(const std::filesystem::path& path, const TrainingState& checkpoint,
                  const RunConfig& config,
                  const std::vector<std::pair<std::string, NamedTensors>>& files) {
  const std::filesystem::path folder = path.parent_path();
  const std::filesystem::path temporary = concat(path.string(), ".tmp-", ::getpid());
  std::filesystem::create_directories(folder);
  try {
    std::filesystem::remove_all(temporary);
    std::filesystem::create_directory(temporary);
    nlohmann::ordered_json state = {{"format", kFormat},
                                    {"step", checkpoint.step},
                                    {"skipped", checkpoint.skipped},
                                    {"seconds", checkpoint.seconds},
                                    {kConfig, to_yaml(config)}};
    for (const auto& [file, tensors] : files) {
      write_safetensors(temporary / file, tensors, {{"format", "pt"}});
      const std::string bytes = read_file(temporary / file);
      state["files"][file] = {{"bytes", bytes.size()}, {"crc32", crc_of(bytes)}};
    }
    state[kStateCrc] = crc_of_state(state);
    write_atomically(temporary / kState,
                     [&](std::ostream& out) { out << json_text(state, 2) << '\n'; });
    sync_to_disk(temporary);
    put_in_place(temporary, path);
    sync_to_disk(folder);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace

std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const TrainingState& checkpoint, const RunConfig& config) {
  const std::filesystem::path path = folder / checkpoint_name(checkpoint.step);
  NamedTensors optimizer = with_prefix(kFirstMoment, checkpoint.exp_avg);
  for (auto& entry : with_prefix(kSecondMoment, checkpoint.exp_avg_sq)) {
    optimizer.push_back(std::move(entry));
  }
  auto files = files_of_averages(checkpoint);
  files.emplace(files.begin(), file_of(kModel), checkpoint.model);
  files.emplace_back(kOptimizer, optimizer);
  write_folder(path, checkpoint, config, files);
  return path;
}

void write_averages(const std::filesystem::path& path, const TrainingState& checkpoint,
                    const RunConfig& config) {
  write_folder(path, checkpoint, config, files_of_averages(checkpoint));
}

std::string average_name(std::int64_t average) {
  return average == 0 ? kAverage : concat(kAverage, average + 1);
}

std::vector<std::string> weights_names() {
  std::vector<std::string> names = {kModel};
  for (std::int64_t i = 0; i < kMostAverages; ++i) names.push_back(average_name(i));
  return names;
}

TrainingState read_checkpoint(const std::filesystem::path& path) {
  const State state(path);
  TrainingState checkpoint;
  checkpoint.step = state.get<std::int64_t>("step");
  checkpoint.skipped = state.get<std::int64_t>("skipped");
  checkpoint.seconds = state.get<double>("seconds");
  if (!state.has_file(kOptimizer)) {
    throw UserError(concat(path.string(),
                           ": holds averages of weights alone, from which training cannot go on"));
  }
  checkpoint.model = read_checked(path / file_of(kModel), state);
  checkpoint.ema = read_checked(path / file_of(kAverage), state);
  for (std::int64_t i = 1; state.has_file(file_of(average_name(i))); ++i) {
    checkpoint.more_emas.push_back(read_checked(path / file_of(average_name(i)), state));
  }
  const NamedTensors optimizer = read_checked(path / kOptimizer, state);
  checkpoint.exp_avg = without_prefix(kFirstMoment, optimizer);
  checkpoint.exp_avg_sq = without_prefix(kSecondMoment, optimizer);
  return checkpoint;
}

std::int64_t read_checkpoint_step(const std::filesystem::path& path) {
  return State(path).get<std::int64_t>("step");
}

RunConfig read_checkpoint_config(const std::filesystem::path& path,
                                 const std::vector<std::string>& overrides, Stage stage) {
  const State state(path);
  return parse_config(state.get<std::string>(kConfig),
                      concat(state.file().string(), ", its configuration"), overrides, stage);
}

NamedTensors read_weights(const std::filesystem::path& path, const std::string& name) {
  const State state(path);
  if (state.has_file(file_of(name))) return read_checked(path / file_of(name), state);
  std::vector<std::string> found;
  for (const std::string& other : weights_names()) {
    if (state.has_file(file_of(other))) found.push_back(other);
  }
  throw UserError(
      concat(path.string(), ": has no weights named ", name, ", only ", join(found, ", ")));
}

std::int64_t step_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::int64_t step = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  return step;
}

std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder) {
  refuse_dead_link(folder);
  std::vector<std::filesystem::path> found;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  std::error_code ignored;
  const bool is_missing =
      error == std::errc::no_such_file_or_directory ||
      (error == std::errc::not_a_directory && !std::filesystem::exists(folder, ignored));
  if (error && !is_missing) {
    throw UserError(concat(folder.string(), ": cannot be read: ", error.message()));
  }
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
        name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return step_of(a) < step_of(b); });
  return found;
}

}  // namespace cdm
