// SPDX-License-Identifier: MIT
#include "cdm/run/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "cdm/io/safetensors.h"

namespace cdm {
namespace {

constexpr int kFormat = 1;
constexpr std::string_view kPrefix = "step-";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kAverage = "ema.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kStateCrc = "crc32";
constexpr std::string_view kFirstMoment = "exp_avg.";
constexpr std::string_view kSecondMoment = "exp_avg_sq.";

std::uint32_t crc_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

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
  return crc_of(state.dump());
}

/// Reads state.json of a checkpoint folder, and checks its format and CRC-32.
nlohmann::json read_state(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    throw UserError(concat(path.string(), ": is not a checkpoint (a folder is needed)"));
  }
  const std::filesystem::path file = path / kState;
  try {
    nlohmann::json state = nlohmann::json::parse(read_file(file));
    if (const int format = state.at("format").get<int>(); format != kFormat) {
      throw UserError(
          concat(file.string(), ": format ", format, " is not known here, only ", kFormat));
    }
    if (state.at(kStateCrc).get<std::uint32_t>() != crc_of_state(state)) {
      throw UserError(concat(file.string(), ": damaged: its checksum is wrong"));
    }
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(concat(file.string(), ": damaged: ", error.what()));
  }
}

/// Reads the tensors of one file, and checks its size and CRC-32 against state.json.
NamedTensors read_checked(const std::filesystem::path& path, const nlohmann::json& state) {
  const std::string bytes = read_file(path);
  const nlohmann::json& expected = state.at("files").at(path.filename().string());
  if (bytes.size() != expected.at("bytes").get<std::uint64_t>() ||
      crc_of(bytes) != expected.at("crc32").get<std::uint32_t>()) {
    throw UserError(
        concat(path.string(), ": damaged: its size or checksum differs from that in ", kState));
  }
  return parse_safetensors(bytes, path.string()).tensors;
}

/// Renames the folder `made` to `path`. A folder that is already there is removed afterwards.
void put_in_place(const std::filesystem::path& made, const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::filesystem::rename(made, path);
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
    // This file system cannot exchange two names. For a moment, neither folder is at `path`.
    std::filesystem::remove_all(path);
    return std::filesystem::rename(made, path);
  }
  std::filesystem::remove_all(made);
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  constexpr std::size_t kDigits = 8;
  std::string digits = std::to_string(step);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return concat(kPrefix, digits);
}

std::filesystem::path write_checkpoint(const std::filesystem::path& folder,
                                       const TrainingState& checkpoint) {
  const std::filesystem::path path = folder / checkpoint_name(checkpoint.step);
  const std::filesystem::path temporary = concat(path.string(), ".tmp-", ::getpid());
  std::filesystem::create_directories(folder);
  try {
    std::filesystem::remove_all(temporary);
    std::filesystem::create_directory(temporary);
    NamedTensors optimizer = with_prefix(kFirstMoment, checkpoint.exp_avg);
    for (auto& entry : with_prefix(kSecondMoment, checkpoint.exp_avg_sq)) {
      optimizer.push_back(std::move(entry));
    }
    nlohmann::ordered_json state = {{"format", kFormat},
                                    {"step", checkpoint.step},
                                    {"skipped", checkpoint.skipped},
                                    {"seconds", checkpoint.seconds}};
    for (const auto& [file, tensors] :
         {std::pair(kModel, &checkpoint.model), std::pair(kAverage, &checkpoint.ema),
          std::pair(kOptimizer, static_cast<const NamedTensors*>(&optimizer))}) {
      write_safetensors(temporary / file, *tensors, {{"format", "pt"}});
      const std::string bytes = read_file(temporary / file);
      state["files"][file] = {{"bytes", bytes.size()}, {"crc32", crc_of(bytes)}};
    }
    state[kStateCrc] = crc_of_state(state);
    write_atomically(temporary / kState, [&](std::ostream& out) { out << state.dump(2) << '\n'; });
    sync_to_disk(temporary);
    put_in_place(temporary, path);
    sync_to_disk(folder);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(temporary, ignored);
    throw;
  }
  return path;
}

TrainingState read_checkpoint(const std::filesystem::path& path) try {
  const nlohmann::json state = read_state(path);
  TrainingState checkpoint;
  checkpoint.step = state.at("step").get<std::int64_t>();
  checkpoint.skipped = state.value("skipped", std::int64_t{0});  // old checkpoints lack it
  checkpoint.seconds = state.at("seconds").get<double>();
  checkpoint.model = read_checked(path / kModel, state);
  checkpoint.ema = read_checked(path / kAverage, state);
  const NamedTensors optimizer = read_checked(path / kOptimizer, state);
  checkpoint.exp_avg = without_prefix(kFirstMoment, optimizer);
  checkpoint.exp_avg_sq = without_prefix(kSecondMoment, optimizer);
  return checkpoint;
} catch (const nlohmann::json::exception& error) {
  throw UserError(concat((path / kState).string(), ": damaged: ", error.what()));
}

NamedTensors read_weights(const std::filesystem::path& path, bool average) try {
  return read_checked(path / (average ? kAverage : kModel), read_state(path));
} catch (const nlohmann::json::exception& error) {
  throw UserError(concat((path / kState).string(), ": damaged: ", error.what()));
}

std::int64_t step_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::int64_t step = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  return step;
}

std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
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
