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

std::string config_help() {
  const RunConfig defaults;
  std::string out;
  std::string open_section;
  for (const Key& key : config_keys()) {
    if (key.section != open_section) {
      out += concat("\n", key.section, ":\n");
      open_section = key.section;
    }
    const std::string only_for = key.only_for();
    out += concat(key.section.empty() ? "" : "  ", key.name, ": ", key.text(defaults), "\n      ",
                  key.help, " (", key.legal, only_for.empty() ? "" : "; only for ", only_for,
                  key.resume == Resume::may_change ? "; may change on resume" : "",
                  key.set_afterwards ? "; may be set after training" : "", ")\n");
  }
  return out;
}

std::string config_reference_markdown() {
  const RunConfig defaults;
  std::string out =
      "# Configuration reference\n\n"
      "Made from src/config/keys.cpp by `cdm-train --help-config --markdown`.\n\n"
      "A configuration is one YAML file. Keys that it does not name have their defaults. `--set "
      "section.key=value`\noverrides a key.\n\n"
      "*Only for* names the kinds that a key applies to. Giving the key for another kind is an "
      "error. When\n`--set` chooses another kind than the file, keys of the file that do not apply "
      "to it get their\ndefaults.\n\n"
      "*Resume* says whether a resumed run may have another value of the key. *Later* says whether "
      "`--set` of\n`cdm-sample`, `cdm-nll` and `cdm-eval` may set the key. The other keys say what "
      "was trained and how;\nchanging them after training would change what the weights mean, so "
      "it "
      "is an error.\n";
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
    out += concat("| `", key.name, "` | `", key.text(defaults), "` | ", key.legal, " | ",
                  key.only_for(), " | ", key.resume == Resume::may_change ? "may change" : "fixed",
                  " | ", key.set_afterwards ? "may be set" : "", " | ", meaning, " |\n");
  }
  return out;
}

}  // namespace cdm
