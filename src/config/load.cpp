// SPDX-License-Identifier: MIT
// Reading a configuration: a file and overrides, checked against the declarations of the keys.
#include "cdm/config/config.h"
#include "cdm/config/parse_config.h"
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

void make_absolute(std::string& path, const std::filesystem::path& base) {
  if (path.empty()) return;
  path = (base / path).lexically_normal().string();
}

/// The configuration of the keys `written` in `source`, with overrides. Relative paths among
/// `written` start at `folder`.
RunConfig make_config(WrittenKeys written, const std::string& source,
                      const std::filesystem::path& folder,
                      const std::vector<std::string>& overrides) {
  const WrittenKeys overriding = read_overrides(overrides);
  RunConfig config = read_file_part(written, overriding);
  apply_overrides(overriding, config);
  const auto base_of = [&](const char* key) {
    return overriding.contains(key) ? std::filesystem::current_path() : folder;
  };
  make_absolute(config.data.path, base_of("data.path"));
  make_absolute(config.data.test_path, base_of("data.test_path"));
  for (const auto& [key, value] : overriding) written[key] = value;
  check_together(config, source, written);
  return config;
}

}  // namespace

RunConfig load_config(const std::filesystem::path& file,
                      const std::vector<std::string>& overrides) {
  return make_config(read_yaml(file), file.string(),
                     std::filesystem::absolute(file).lexically_normal().parent_path(), overrides);
}

RunConfig parse_config(const std::string& text, const std::string& source,
                       const std::vector<std::string>& overrides) {
  return make_config(parse_yaml(text, source), source, std::filesystem::current_path(), overrides);
}

}  // namespace cdm
