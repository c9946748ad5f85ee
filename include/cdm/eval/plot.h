// SPDX-License-Identifier: MIT
// Pictures of results, drawn by gnuplot with the scripts of the project's folder plots/.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cdm {

/// Draws STEM.svg and STEM.png from STEM.csv with the script plots/KIND.gp, whose arguments are the
/// file name of `stem` and then `arguments`; the script says what they mean. A copy of the script
/// is written to STEM.gp, with the command that draws the picture in its first line.
///
/// Where gnuplot is not installed or fails, this warns on stderr and leaves the script but no
/// picture. Throws std::runtime_error when the script cannot be written, and std::logic_error when
/// there is no plots/KIND.gp.
void plot(const std::filesystem::path& stem, const std::string& kind,
          const std::vector<std::string>& arguments = {});

}  // namespace cdm
