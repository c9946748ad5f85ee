// SPDX-License-Identifier: MIT
#include "program.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "cdm/device.h"
#include "cdm/error.h"
#include "cdm/log.h"
#include "cdm/text.h"
#include "cdm/version.h"

namespace cdm {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  load_cuda_runtime();  // before anything asks LibTorch for CUDA
  keep_freed_memory();
  CLI::App app(program.description, program.name);
  app.footer("Example:\n  " + program.example + "\n");
  app.option_defaults()->always_capture_default();
  app.set_version_flag("--version", version_text());
  try {
    program.declare(app);
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request, std::cout, std::cerr);
  } catch (const CLI::Error& error) {
    log_error(concat(first_line(error.what()), "; see ", program.name, " --help"));
    return kWrongUse;
  }
  try {
    program.body();
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("cannot write to standard output");
    return 0;
  } catch (const UserError& error) {
    log_error(error.what());
    return kWrongUse;
  } catch (const c10::OutOfMemoryError& error) {
    log_error(concat("out of memory: ", first_line(error.what_without_backtrace()),
                     "; a smaller batch needs less"));
  } catch (const c10::Error& error) {
    log_error(first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    log_error(first_line(error.what()));
  }
  return kFailed;
}

ProcessGroup join_group() {
  const Place place = place_of_this_process();
  if (place.rank > 0) log_only_warnings(concat("rank ", place.rank, ": "));
  return ProcessGroup(place);
}

void require_folder_of(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw UserError(concat(file, ": the folder ", folder.string(), " does not exist"));
  }
  if (!file.empty() && ::access(folder.empty() ? "." : folder.c_str(), W_OK) != 0) {
    throw UserError(concat(file, ": the folder cannot be written to: ", std::strerror(errno)));
  }
  if (std::filesystem::is_directory(file)) {
    throw UserError(concat(file, ": is a folder; a file is to be written"));
  }
}

}  // namespace cdm
