// SPDX-License-Identifier: MIT
#include "cdm/eval/plot.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string_view>

#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "eval/plot_scripts.h"  // made by cmake/Plots.cmake

namespace cdm {
namespace {

constexpr int kNotFound = 127;  // as a shell's exit code for a program that does not exist

std::string_view script_of(const std::string& kind) {
  const auto* const found =
      std::find_if(std::begin(kPlotScripts), std::end(kPlotScripts),
                   [&](const PlotScript& script) { return script.kind == kind; });
  if (found == std::end(kPlotScripts)) throw std::logic_error(concat("no plots/", kind, ".gp"));
  return found->text;
}

/// The text quoted as one word for bash, on one line.
std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else if (c == '\n') {
      word += "'$'\\n''";
    } else {
      word += c;
    }
  }
  return word + '\'';
}

/// Runs the command in `folder` and returns its exit code; kNotFound, or another number that is not
/// 0, when it cannot be started.
int run_in(const std::filesystem::path& folder, std::vector<std::string> command) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = 0;
  const int error = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return kNotFound;
  if (error != 0) return error;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

void plot(const std::filesystem::path& stem, const std::string& kind,
          const std::vector<std::string>& arguments) {
  const std::string name = stem.filename().string();
  std::vector<std::string> command = {"gnuplot", "-c", name + ".gp", name};
  command.insert(command.end(), arguments.begin(), arguments.end());
  write_atomically(stem.string() + ".gp", [&](std::ostream& out) {
    out << "# This picture: gnuplot -c";
    for (std::size_t i = 2; i < command.size(); ++i) out << ' ' << shell_word(command[i]);
    out << '\n' << script_of(kind);
  });
  const int code = run_in(stem.has_parent_path() ? stem.parent_path() : ".", command);
  if (code == 0) return;
  for (const char* const extension : {".svg", ".png"}) {
    std::error_code ignored;  // the pictures are old or incomplete
    std::filesystem::remove(stem.string() + extension, ignored);
  }
  log_warning(concat(code == kNotFound ? "gnuplot is not installed: " : "gnuplot failed: ",
                     stem.string(), ".gp would draw the picture"));
}

}  // namespace cdm
