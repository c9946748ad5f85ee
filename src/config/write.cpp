// SPDX-License-Identifier: MIT
// Writing a configuration: the run's config.yaml, the text of --help-config, and
// docs/configuration.md.
#include "cdm/config/config.h"
#include "cdm/core/text.h"
#include "config/keys.h"

namespace cdm {

std::string to_yaml(const RunConfig& config) {
  std::string out;
  std::string open_section;
  for (const Key& key : config_keys()) {
    if (!key.applies_to(config)) continue;
    if (key.section != open_section) {
      out += concat(key.section, ":\n");
      open_section = key.section;
    }
    out += concat(key.section.empty() ? "" : "  ", key.name, ": ", key.text(config), "\n");
  }
  return out;
}

std::map<std::string, std::string> flatten(const RunConfig& config) {
  std::map<std::string, std::string> out;
  for (const Key& key : config_keys()) {
    if (key.applies_to(config)) out[key.full_name()] = key.text(config);
  }
  return out;
}

std::map<std::string, std::string> changed_keys(const RunConfig& before, const RunConfig& after) {
  const std::map<std::string, std::string> old = flatten(before);
  std::map<std::string, std::string> changed;
  for (const auto& [key, value] : flatten(after)) {
    const auto found = old.find(key);
    if (found == old.end() || found->second != value) changed[key] = value;
  }
  return changed;
}

namespace {

constexpr const char* kReferenceIntroduction =
    R"(# Configuration reference

Made from src/config/keys*.cpp by `cdm-train --help-config --markdown`.

A configuration is one YAML file. Keys that it does not name have their defaults: `{}` and an empty
file are configurations, too. `--set section.key=value` overrides a key; the last one for a key wins.
`cdm-train CONFIG.yaml --dry-run` makes every check that a training makes before its first step, the
data and the run folder included, and prints the value of every key.

*Only for* names the kinds that a key applies to. Giving the key for another kind is an error. When
`--set` chooses another kind than the file, keys of the file that do not apply to it get their
defaults.

*Resume* says whether a resumed run may have another value of the key. *Later* says whether `--set` of
`cdm-sample`, `cdm-nll` and `cdm-eval` may set the key. The other keys say what was trained and how, or
are read by `cdm-train` only. Changing what was trained would change what the weights mean, so it is an
error.

## How values are written

Values are read as people who know YAML 1.1 mean them, in the file and after `--set`:

- **Numbers**: `1000`, `1_000`, `1e3`, `1000.0` and `0x3e8` are the same integer; `.5` and `5e-1` are the
  same number. Refused are numbers that YAML 1.1 and 1.2 read differently: `010` (octal or decimal) and
  `1:30` (to the base 60, or text).
- **Truth**: `true`, `yes`, `on`, `y` and their opposites, also `True` and `TRUE`.
- **Text**: what stands in quotes is text, never a number or a truth value.
- **Null**: `null`, `~` or nothing after the colon means the default where that is none (0, false,
  empty) or depends on the data. Elsewhere it is refused. An empty section (`train:`) is allowed.
  `--set key=` is refused: it mostly is a variable of the shell that is not set.
- **Anchors and merge keys**: `<<: *name` or `<<: [*first, *second]` adds the keys that a section does
  not give itself. A section is one value: merged at the top level, it is taken whole or not at all.
  Top-level entries whose names begin with `x-` or `.` are there for anchors and are not read
  otherwise:

      x-base: &base {batch_size: 64, warmup: 1000}
      train: {<<: *base, learning_rate: 1e-3}

- **One document**: a second one in the same file is refused.

Paths (`data.path`, `data.test_path`): `~/x`, `$NAME` and `${NAME}` are expanded, and `$$` is a `$`. (The
home folder itself is written `"~"`, because `~` without quotes is null.) A relative path begins at the
folder of the file, as that was named on the command line; if nothing is there, at the folder that the
file lies in once links are followed. After `--set` it begins at the working directory. A run's
`config.yaml` holds the absolute path.
)";

/// The default as a cell of a table: a value in the type of code, words as they are.
std::string shown_default(const Key& key) {
  const std::string text = key.default_text();
  return key.default_words.empty() ? concat("`", text, "`") : text;
}

}  // namespace

std::string config_help() {
  std::string out;
  std::string open_section;
  for (const Key& key : config_keys()) {
    if (key.section != open_section) {
      out += concat("\n", key.section, ":\n");
      open_section = key.section;
    }
    const std::string only_for = key.only_for();
    out += concat(key.section.empty() ? "" : "  ", key.name, ": ", key.default_text(), "\n      ",
                  key.help, " (", key.legal, only_for.empty() ? "" : "; only for ", only_for,
                  key.resume == Resume::may_change ? "; may change on resume" : "",
                  key.set_afterwards ? "; may be set after training" : "", ")\n");
  }
  return out;
}

std::string config_reference_markdown() {
  std::string out = kReferenceIntroduction;
  std::string open_section = "none";
  for (const Key& key : config_keys()) {
    if (key.section != open_section) {
      out += concat("\n## ", key.section.empty() ? "Top level" : key.section,
                    "\n\n| key | default | legal | only for | resume | later | meaning |\n"
                    "| --- | --- | --- | --- | --- | --- | --- |\n");
      open_section = key.section;
    }
    std::string meaning;
    for (const char c : key.help) meaning += c == '|' ? "\\|" : std::string(1, c);
    out += concat("| `", key.name, "` | ", shown_default(key), " | ", key.legal, " | ",
                  key.only_for(), " | ", key.resume == Resume::may_change ? "may change" : "fixed",
                  " | ", key.set_afterwards ? "may be set" : "", " | ", meaning, " |\n");
  }
  return out;
}

}  // namespace cdm
