// SPDX-License-Identifier: MIT
#include "cdm/eval/plot.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ostream>

#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr int kNotFound = 127;  // what a shell or a spawned child reports for a missing program

/// Exit code of `gnuplot NAME` run in `folder`; not 0 either where it could not be started.
int run_gnuplot(const std::filesystem::path& folder, const std::string& name) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::string program = "gnuplot";
  std::string argument = name;
  const std::array<char*, 3> arguments = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return kNotFound;
  if (error != 0) return error;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

std::string gnuplot_text(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + '\'';
}

void plot(const std::filesystem::path& stem, const std::string& commands, PlotSize size) {
  const std::string name = stem.filename().string();
  const std::string script = name + ".gp";
  const std::string pixels = concat(size.width, ",", size.height);
  write_atomically(stem.string() + ".gp", [&](std::ostream& out) {
    out << "# Draws " << name << ".svg and " << name << ".png from the data beside it: gnuplot "
        << script << "\n"
        << "set datafile separator ','\n"
        << "set encoding utf8\n"
        << "set grid lc rgb '#dddddd'\n"
        << "set terminal svg size " << pixels << " dynamic background rgb 'white' font 'sans,13'\n"
        << "set output " << gnuplot_text(name + ".svg") << "\n"
        << commands << "set terminal pngcairo size " << pixels << " font 'sans,11'\n"
        << "set output " << gnuplot_text(name + ".png") << "\n"
        << "replot\n"
        << "set output\n";
  });
  const std::filesystem::path folder = stem.has_parent_path() ? stem.parent_path() : ".";
  const int code = run_gnuplot(folder, script);
  if (code == 0) return;
  for (const char* const extension : {".svg", ".png"}) {
    std::error_code ignored;  // old or half drawn, they do not show the data
    std::filesystem::remove(stem.string() + extension, ignored);
  }
  log_warning(concat(code == kNotFound ? "gnuplot is not installed: " : "gnuplot failed: ",
                     stem.string(), ".gp would draw the picture"));
}

}  // namespace cdm
