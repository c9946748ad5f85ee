# Writes generated/eval/plot_scripts.h with the text of every gnuplot script in plots/. The scripts
# are compiled into the programs, so that these do not depend on files beside them.
file(GLOB CDM_PLOTS CONFIGURE_DEPENDS plots/*.gp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CDM_PLOTS})
set(_cdm_scripts "")
foreach(_cdm_file IN LISTS CDM_PLOTS)
  get_filename_component(_cdm_kind "${_cdm_file}" NAME_WE)
  file(READ "${_cdm_file}" _cdm_text)
  string(APPEND _cdm_scripts "    {\"${_cdm_kind}\", R\"gp(${_cdm_text})gp\"},\n")
endforeach()
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/generated/eval/plot_scripts.h" @ONLY CONTENT
"// Made by cmake/Plots.cmake.
#pragma once

#include <string_view>

namespace cdm {

/// A file in plots/: its name without .gp, and its text.
struct PlotScript {
  std::string_view kind, text;
};

constexpr PlotScript kPlotScripts[] = {
@_cdm_scripts@};

}  // namespace cdm
")
