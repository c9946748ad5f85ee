// SPDX-License-Identifier: MIT
// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>

namespace cdm {

/// Calls `write` with a stream to a temporary file beside `path`, syncs it to disk and renames it
/// to `path`. On any failure the temporary is removed and std::runtime_error names the path and
/// reason.
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(std::ostream&)>& write);

/// The whole file. Throws UserError, naming it, when it cannot be read or is a directory.
std::string read_file(const std::filesystem::path& path);

/// Flushes a file's or directory's contents to disk (fsync).
void sync_to_disk(const std::filesystem::path& path);

}  // namespace cdm
