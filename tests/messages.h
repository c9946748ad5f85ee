// SPDX-License-Identifier: MIT
// What tests ask of messages: the facts in them, not their wording.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "cdm/core/error.h"

namespace cdm::test {

/// The message of the UserError that the call must throw, which must be one line; "no UserError"
/// where it throws none.
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

/// Matches text that holds each of the parts, such as the file, key or option at fault, the value
/// that was given, and what is legal.
template <class... Part>
auto mentions(const Part&... parts) {
  return testing::AllOf(testing::HasSubstr(std::string(parts))...);
}

}  // namespace cdm::test
