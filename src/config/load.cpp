// SPDX-License-Identifier: MIT
// Reading a configuration: a file and overrides, checked against the declarations of the keys.
#include "cdm/config/config.h"
#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "config/check_together.h"
#include "config/keys.h"
#include "config/written_keys.h"

namespace cdm {
namespace {

/// The value written for the key; null when there is none.
const Written* find(const WrittenKeys& keys, const Key& key) {
  const auto found = keys.find(key.full_name());
  return found == keys.end() ? nullptr : &found->second;
}

[[noreturn]] void refuse(const Key& key, const Written& written, const std::string& why) {
  throw UserError(
      concat(written.where, ": ", key.full_name(), " = ", as_written(written.value), ": ", why));
}

void set(const Key& key, const Written& written, RunConfig& config) {
  if (!key.read(written.value, config)) refuse(key, written, concat("must be ", key.legal));
}

/// Throws UserError when the key was written but has no meaning in `config`.
void require_meaning(const Key& key, const Written& written, const RunConfig& config) {
  for (const Condition& condition : key.conditions) {
    if (condition.holds(config)) continue;
    refuse(key, written,
           concat("is only for ", condition.words, "; here ", condition.key, " = ",
                  value_of(condition.key, config)));
  }
}

/// The configuration of the file alone. A key of the file that an override replaces may have an
/// illegal value there, or no meaning.
RunConfig read_file_part(const WrittenKeys& in_file, const WrittenKeys& overriding) {
  RunConfig config;
  for (const Key& key : config_keys()) {
    const Written* const written = find(in_file, key);
    if (written == nullptr) continue;
    if (find(overriding, key) == nullptr) {
      set(key, *written, config);
    } else if (!key.read(written->value, config)) {
      key.set_default(config);
    }
  }
  for (const Key& key : config_keys()) {
    const Written* const written = find(in_file, key);
    if (written != nullptr && find(overriding, key) == nullptr) {
      require_meaning(key, *written, config);
    }
  }
  return config;
}

/// Overrides may choose other kinds than the file. A key among the overrides must have a meaning
/// with the final kinds; a key of the file that no longer has a meaning gets its default.
void apply_overrides(const WrittenKeys& overriding, RunConfig& config) {
  for (const Key& key : config_keys()) {
    if (const Written* const written = find(overriding, key)) set(key, *written, config);
  }
  for (const Key& key : config_keys()) {
    if (key.applies_to(config)) continue;
    if (const Written* const written = find(overriding, key)) {
      require_meaning(key, *written, config);
    }
    key.set_default(config);
  }
}

/// Throws UserError when an override sets a key that says what was trained, or that only training
/// reads.
void require_settable_afterwards(const WrittenKeys& overriding) {
  for (const Key& key : config_keys()) {
    const Written* const written = find(overriding, key);
    if (written == nullptr || key.set_afterwards) continue;
    refuse(key, *written,
           key.resume == Resume::fixed
               ? "says what was trained, so it cannot be changed after training"
               : "is read by cdm-train only");
  }
}

void make_absolute(std::string& path, const std::filesystem::path& base) {
  if (path.empty()) return;
  path = (base / path).lexically_normal().string();
}

}  // namespace

RunConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                      Stage stage) {
  WrittenKeys written = read_yaml(file);
  const WrittenKeys overriding = read_overrides(overrides);
  if (stage == Stage::after_training) require_settable_afterwards(overriding);
  RunConfig config = read_file_part(written, overriding);
  apply_overrides(overriding, config);
  const std::filesystem::path file_folder =
      std::filesystem::absolute(file).lexically_normal().parent_path();
  const auto base_of = [&](const char* key) {
    return overriding.contains(key) ? std::filesystem::current_path() : file_folder;
  };
  make_absolute(config.data.path, base_of("data.path"));
  make_absolute(config.data.test_path, base_of("data.test_path"));
  for (const auto& [key, value] : overriding) written[key] = value;
  check_together(config, file.string(), written);
  return config;
}

}  // namespace cdm
