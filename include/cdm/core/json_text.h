// SPDX-License-Identifier: MIT
// JSON as text. Names of files may hold any bytes, and JSON only UTF-8.
#pragma once

#include <string>

namespace cdm {

/// `json` (an nlohmann::json) as text, on one line if `indent` is -1. Bytes that are not UTF-8
/// become U+FFFD, the replacement character, so that the name of a file cannot spoil a result.
template <class Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace cdm
