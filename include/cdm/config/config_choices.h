// SPDX-License-Identifier: MIT
// The legal values of configuration keys, for programs whose options stand in for keys.
#pragma once

#include <string>
#include <vector>

namespace cdm {

/// What a key of text may be set to, by its full name ("sample.sampler"), in the order of the help.
/// A key that does not exist is a programmer's error (c10::Error).
std::vector<std::string> choices_of(const std::string& key);

}  // namespace cdm
