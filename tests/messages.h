// SPDX-License-Identifier: MIT
// Helpers to test the facts in messages, not their wording.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "cdm/core/error.h"

namespace cdm::test {

/// The message of the UserError that `call` throws; "no UserError" when it throws none. Expects the
/// message to be one line.
inline std::string user_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const UserError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "no UserError";
}

/// Matches text that contains each of the parts: for example the wrong file, key or option, the
/// value that was given, and what is legal.
template <class... Part>
auto mentions(const Part&... parts) {
  return testing::AllOf(testing::HasSubstr(std::string(parts))...);
}

}  // namespace cdm::test
