// SPDX-License-Identifier: MIT
#include "cdm/config/config_choices.h"

#include <c10/util/Exception.h>

#include "cdm/core/text.h"
#include "config/config_keys.h"

namespace cdm {

std::vector<std::string> choices_of(const std::string& key) {
  RunConfig config;
  std::vector<std::string> choices;
  visit_keys(config, [&](const std::string& section, const std::string& name, auto& /*field*/,
                         const auto& /*default*/, const Legal& legal, const char* /*help*/) {
    if (concat(section, ".", name) == key) choices = legal.choices;
  });
  TORCH_CHECK(!choices.empty(), key, " is no key of text with choices");
  return choices;
}

}  // namespace cdm
