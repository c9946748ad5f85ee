// SPDX-License-Identifier: MIT
// Errors that the user can put right, apart from all other failures.
#pragma once

#include <stdexcept>
#include <string>

namespace cdm {

/// Wrong usage, configuration or input. The message is one line that names the file (and the line,
/// key and value where there is one) and says what is legal. Programs print it and exit with status
/// 2. Any other exception is a failure while running: exit status 1.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cdm
