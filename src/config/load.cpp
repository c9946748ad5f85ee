// SPDX-License-Identifier: MIT
// Reading a configuration: a file and overrides, checked against the declarations of the keys.
#include "cdm/config/config.h"
#include "cdm/config/parse_config.h"
#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "config/check_together.h"
#include "config/keys.h"
#include "config/paths.h"
#include "config/scalars.h"
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
  if (!written.value.IsNull()) {
    if (key.read(written.value, config)) return;
    refuse(key, written, concat("must be ", key.legal, hint_about(written.value)));
  }
  if (!key.may_be_null()) {
    throw UserError(concat(written.where, ": ", key.full_name(), ": has no value; it must be ",
                           key.legal, "; leave the key out for its default, ", key.default_text()));
  }
  key.set_default(config);
}

/// Throws UserError when the key was written but has no meaning in `config`.
void require_meaning(const Key& key, const Written& written, const RunConfig& config) {
  for (const KeyCondition& condition : key.conditions) {
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
    } else if (written->value.IsNull() || !key.read(written->value, config)) {
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

/// Defaults that depend on other keys, once all that was written is known.
void settle_defaults(const WrittenKeys& written, RunConfig& config) {
  for (const Key& key : config_keys()) {
    if (key.default_words.empty()) continue;
    const Written* const given = find(written, key);
    if (given == nullptr || given->value.IsNull() || !key.applies_to(config)) {
      key.set_default(config);
    }
  }
}

/// Where the relative paths of a configuration start.
struct Folders {
  std::filesystem::path named;  // the folder of the file as it was named
  std::filesystem::path real;   // with links followed; is used if nothing is there in `named`
};

/// The folder that holds the file once links are followed; `otherwise` when that cannot be known.
std::filesystem::path real_folder_of(const std::filesystem::path& file,
                                     const std::filesystem::path& otherwise) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(file, error);
  return error ? otherwise : real.parent_path();
}

/// Makes the path absolute that was written for the key.
void settle_path(std::string& path, const std::string& key, const Folders& folders,
                 const WrittenKeys& in_file, const WrittenKeys& overriding) {
  if (path.empty()) return;
  const bool is_overriding = overriding.contains(key);
  const Written& written = (is_overriding ? overriding : in_file).at(key);
  path = expand_path(path, concat(written.where, ": ", key, " = ", printable(path)));
  const std::filesystem::path here = std::filesystem::current_path();
  path = is_overriding ? absolute_path(path, here, here)
                       : absolute_path(path, folders.named, folders.real);
}

/// The configuration of the keys `written` in `source`, with overrides.
RunConfig make_config(WrittenKeys written, const std::string& source, const Folders& folders,
                      const std::vector<std::string>& overrides, Stage stage) {
  const WrittenKeys overriding = read_overrides(overrides);
  if (stage == Stage::after_training) require_settable_afterwards(overriding);
  RunConfig config = read_file_part(written, overriding);
  apply_overrides(overriding, config);
  settle_path(config.data.path, "data.path", folders, written, overriding);
  settle_path(config.data.test_path, "data.test_path", folders, written, overriding);
  for (const auto& [key, value] : overriding) written[key] = value;
  settle_defaults(written, config);
  for (const auto& [key, value] : written) {
    if (key.starts_with("data.")) config.data.places[key] = value.where;
  }
  check_together(config, source, written);
  return config;
}

}  // namespace

RunConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                      Stage stage) {
  const std::filesystem::path named =
      std::filesystem::absolute(file).lexically_normal().parent_path();
  return make_config(read_yaml(file), file.string(), {named, real_folder_of(file, named)},
                     overrides, stage);
}

RunConfig parse_config(const std::string& text, const std::string& source,
                       const std::vector<std::string>& overrides, Stage stage) {
  const std::filesystem::path here = std::filesystem::current_path();
  return make_config(parse_yaml(text, source), source, {here, here}, overrides, stage);
}

}  // namespace cdm
