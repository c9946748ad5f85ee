// SPDX-License-Identifier: MIT
// Writing a configuration: the resolved file, help and the reference page.
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
                  key.resume == Resume::may_change ? "; may change when a run goes on" : "", ")\n");
  }
  return out;
}

std::string config_reference_markdown() {
  const RunConfig defaults;
  std::string out =
      "# Configuration reference\n\n"
      "Made from src/config/keys.cpp by `cdm-train --help-config --markdown`.\n\n"
      "A configuration is one YAML file; every key may be left out. `--set section.key=value` "
      "overrides a key.\n"
      "*Only for* names the kinds that a key is for; given for another kind, it is refused.\n"
      "Where `--set` chooses another kind than the file does, keys of the file that are not for "
      "it take\ntheir defaults.\n"
      "*Resume* says which keys may have another value when the same run goes on.\n";
  std::string open_section = "none";
  for (const Key& key : config_keys()) {
    if (key.section != open_section) {
      out += concat("\n## ", key.section.empty() ? "Top level" : key.section,
                    "\n\n| key | default | legal | only for | resume | meaning |\n"
                    "| --- | --- | --- | --- | --- | --- |\n");
      open_section = key.section;
    }
    std::string meaning;
    for (const char c : key.help) meaning += c == '|' ? "\\|" : std::string(1, c);
    out += concat("| `", key.name, "` | `", key.text(defaults), "` | ", key.legal, " | ",
                  key.only_for(), " | ", key.resume == Resume::may_change ? "may change" : "fixed",
                  " | ", meaning, " |\n");
  }
  return out;
}

}  // namespace cdm
