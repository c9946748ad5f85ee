// SPDX-License-Identifier: MIT
// Pictures of results, drawn by gnuplot with the scripts in the project's folder plots/.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cdm {

/// Draws STEM.svg and STEM.png from STEM.csv with the script plots/KIND.gp. The script's arguments
/// are the file name of `stem`, then `arguments`; its first lines say what they mean. A copy of the
/// script is written to STEM.gp; its first line is the command that draws the picture.
///
/// When gnuplot is not installed or fails, this logs a warning, and STEM.gp remains without a
/// picture. Throws std::runtime_error when the script cannot be written, and std::logic_error when
/// there is no plots/KIND.gp.
void plot(const std::filesystem::path& stem, const std::string& kind,
          const std::vector<std::string>& arguments = {});

}  // namespace cdm
