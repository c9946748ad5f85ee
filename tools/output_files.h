// SPDX-License-Identifier: MIT
// Checks of the files that a program will write, made before it computes anything.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cdm {

/// A file that an option names, and the option, for messages. Entries whose `file` is empty are
/// passed over everywhere: their option was not given.
struct NamedFile {
  std::string option;  // "--out"
  std::string file;
};

/// Checks that `file` can be written. Throws UserError when its folder does not exist or it is
/// something that cannot be written to (see find_output_target), and std::runtime_error when no
/// file can be created there. A FIFO or a device is not opened. An empty name is not checked.
void require_writable_file(const std::string& file);

/// Throws UserError when `output` ends like a file of another of the formats that the programs read
/// and write: `suffix` is that of its own (".npz"). Names of FIFOs and devices may be any.
void require_suffix(const NamedFile& output, const std::string& suffix);

/// Throws UserError when two outputs, or an output and an input, are one file, also where its paths
/// differ or lead through links. A character device (/dev/null) may be named several times.
void require_distinct(const std::vector<NamedFile>& outputs,
                      const std::vector<NamedFile>& inputs = {});

/// FILE.json, in which a program describes the contents of its output FILE. Empty, which means no
/// such file, when `output` is empty and when it is a stream (a FIFO or a device).
std::string settings_file(const std::string& output);

/// Writes JSON with line breaks. Names of files that are not UTF-8 are written with replacements.
void write_json(const std::string& file, const nlohmann::ordered_json& json);

/// A file that will be written, and its size.
struct PlannedFile {
  std::string name;
  std::int64_t bytes = 0;
};

/// Throws UserError when the files together need more space than their file systems have. `option`
/// names, for the message, what the user can lower.
void require_space(const std::vector<PlannedFile>& files, const std::string& option);

}  // namespace cdm
