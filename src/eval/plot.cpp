// SPDX-License-Identifier: MIT
#include "cdm/eval/plot.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <ostream>
#include <sstream>
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

/// How a command ended: its exit code (kNotFound, or another number that is not 0, when it could
/// not be started), and the first line that it wrote to stderr.
struct Ended {
  int code = 0;
  std::string complaint;
};

/// Runs the command in `folder`. What it writes to stderr is not shown: gnuplot also warns of
/// pictures that are all right.
Ended run_in(const std::filesystem::path& folder, std::vector<std::string> command) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> errors(std::tmpfile(), &std::fclose);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  if (errors) {
    posix_spawn_file_actions_adddup2(&actions, fileno(errors.get()), STDERR_FILENO);
  }
  pid_t child = 0;
  const int error = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return {error == ENOENT ? kNotFound : error, std::strerror(error)};
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Ended ended = {WIFEXITED(status) ? WEXITSTATUS(status) : 1, ""};
  std::array<char, 4096> text = {};
  if (errors && std::fseek(errors.get(), 0, SEEK_SET) == 0) {
    const std::size_t count = std::fread(text.data(), 1, text.size(), errors.get());
    // The last line that names a line of the script is the reason. gnuplot writes, for example:
    //
    //   plot "a.csv" using 1:2
    //                         ^
    //   "fid.gp" line 2: x range is invalid
    std::istringstream lines(std::string(text.data(), count));
    for (std::string line; std::getline(lines, line);) {
      if (line.find(" line ") != std::string::npos || ended.complaint.empty()) {
        ended.complaint = printable(line);
      }
    }
  }
  return ended;
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
  const Ended ended = run_in(stem.has_parent_path() ? stem.parent_path() : ".", command);
  if (ended.code == 0) return;
  for (const char* const extension : {".svg", ".png"}) {
    std::error_code ignored;  // the pictures are old or incomplete
    std::filesystem::remove(stem.string() + extension, ignored);
  }
  log_warning(concat(ended.code == kNotFound ? "gnuplot is not installed: "
                                             : concat("gnuplot failed (", ended.complaint, "): "),
                     stem.string(), ".gp would draw the picture"));
}

}  // namespace cdm
