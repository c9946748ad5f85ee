// SPDX-License-Identifier: MIT
// Where bytes go that a user sends to a path: to a file, or into a device, a FIFO or an open
// descriptor.
#pragma once

#include <filesystem>

namespace cdm {

struct OutputTarget {
  /// The file to create or to replace, with symbolic links followed to the end, also to a file that
  /// does not exist yet. For a stream, the path as it was given.
  std::filesystem::path path;
  /// Whether the path is a FIFO, a character device (/dev/null) or an open descriptor of this
  /// process (/dev/stdout, /dev/fd/N): bytes are written into it, and it is never replaced.
  bool is_stream = false;
  /// The open descriptor that the path stands for, or -1.
  int descriptor = -1;
};

/// Looks at `path` and opens nothing, so that it never waits for the reader of a FIFO. Throws
/// UserError, naming the path, when it is a folder, a block device, a socket, a loop of links, or a
/// descriptor that cannot be written to.
OutputTarget find_output_target(const std::filesystem::path& path);

/// Opens a stream for writing and returns a descriptor that the caller closes. Waits until a FIFO
/// has a reader. Throws std::runtime_error, naming the path and the reason.
int open_stream(const OutputTarget& stream);

}  // namespace cdm
