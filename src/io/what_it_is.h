// SPDX-License-Identifier: MIT
// Files that are not the data that they are named after, because a download gave something else.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cdm {

/// What a file is when it is not the data that its name promises, for an error message after the
/// file's name: "is a Git LFS pointer, ...", "is an HTML page, ...". Empty when the bytes are
/// neither, which does not mean that they are good. Readers of binary formats ask before they
/// parse.
std::string what_it_is_instead(std::string_view bytes);

/// Why the path cannot be opened as an ordinary file, to follow its name: "is a FIFO (named pipe)",
/// "is a link to X, which is not there". Empty when it can, as far as the file system says.
std::string why_not_a_file(const std::filesystem::path& path);

}  // namespace cdm
