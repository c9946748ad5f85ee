// SPDX-License-Identifier: MIT
// Pictures of results, drawn by gnuplot. The script stays beside the data, for restyling.
#pragma once

#include <filesystem>
#include <string>

namespace cdm {

/// Pixels of a picture.
struct PlotSize {
  int width = 720;
  int height = 480;
};

/// Writes STEM.gp, a script with gnuplot's `commands` (a plot of files in the folder of `stem`, CSV
/// with a line of names), and runs it: STEM.svg and STEM.png. Without gnuplot it says so on stderr,
/// and the script is all. Throws std::runtime_error when gnuplot refuses the script or a file
/// cannot be written.
void plot(const std::filesystem::path& stem, const std::string& commands, PlotSize size = {});

/// Text as gnuplot's single-quoted string.
std::string gnuplot_text(const std::string& text);

}  // namespace cdm
