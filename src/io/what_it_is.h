// SPDX-License-Identifier: MIT
// Files that are not the data that they are named after, because a download gave something else.
#pragma once

#include <string>
#include <string_view>

namespace cdm {

/// What a file is when it is not the data that its name promises, for an error message after the
/// file's name: "is a Git LFS pointer, ...", "is an HTML page, ...". Empty when the bytes are
/// neither, which does not mean that they are good. Readers of binary formats ask before they
/// parse.
std::string what_it_is_instead(std::string_view bytes);

}  // namespace cdm
