// SPDX-License-Identifier: MIT
// What a library's exception says, on one line.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

#include "cdm/text.h"

namespace cdm {

/// Without the stack trace that c10's go on with.
inline std::string message_of(const std::exception& error) {
  const auto* const from_c10 = dynamic_cast<const c10::Error*>(&error);
  return first_line(from_c10 != nullptr ? from_c10->what_without_backtrace() : error.what());
}

}  // namespace cdm
