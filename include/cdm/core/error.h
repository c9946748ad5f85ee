// SPDX-License-Identifier: MIT
// The two ways a program can end badly.
#pragma once

#include <stdexcept>
#include <string>

namespace cdm {

/// Wrong usage, configuration or input. The message is one line that names the file (and line, key,
/// value where there is one) and says what is legal. Programs print it and exit with status 2;
/// every other exception means a failure while running, and exit status 1.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cdm
