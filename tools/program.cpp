// SPDX-License-Identifier: MIT
#include "program.h"

#include <c10/util/Exception.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <map>
#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/core/version.h"
#include "cdm/device/device.h"
#include "cdm/device/memory_advice.h"

namespace cdm {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

/// The text with control characters replaced by '?'. Names of files and values may hold line ends.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit on file sizes fails, and is reported
  load_cuda_runtime();            // before anything asks LibTorch for CUDA
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
    log_error(one_line(error.what()));
    return kWrongUse;
  } catch (const std::exception& error) {
    const auto* const from_torch = dynamic_cast<const c10::Error*>(&error);
    const std::string reason =
        first_line(from_torch ? from_torch->what_without_backtrace() : error.what());
    log_error(is_out_of_memory(error)
                  ? concat("out of memory: ", reason,
                           "; fewer images at a time (--batch, train.micro_batch_size) need less")
                  : reason);
  }
  return kFailed;
}

ProcessGroup join_group(Collectives collectives) {
  const ProcessRank process = rank_of_this_process();
  if (process.rank > 0) log_only_warnings(concat("rank ", process.rank, ": "));
  return ProcessGroup(process, collectives);
}

void require_folder_of(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    const bool exists = std::filesystem::exists(folder);
    throw UserError(concat(file, exists ? ": " : ": the folder ", folder.string(),
                           exists ? " is not a folder" : " does not exist"));
  }
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    throw UserError(concat(file, ": is a folder; a file is to be written"));
  }
  if (!file.empty()) const AtomicFile probe(file);  // its destructor removes the temporary file
}

void require_space(const std::vector<PlannedFile>& files, const std::string& option) {
  std::map<::dev_t, std::int64_t> needed;  // bytes in each file system
  for (const PlannedFile& file : files) {
    const auto folder = std::filesystem::absolute(file.name).parent_path();
    struct ::stat status = {};
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(folder, error);
    if (error || ::stat(folder.c_str(), &status) != 0) continue;  // writing the file will fail
    if (space.capacity == 0) continue;  // this file system does not tell its size
    std::int64_t& sum = needed[status.st_dev];
    sum += file.bytes;
    if (static_cast<std::uint64_t>(sum) > space.available) {
      throw UserError(concat(option, ": ", format_bytes(sum), " are to be written to ",
                             folder.string(), ", which has room for ",
                             format_bytes(static_cast<std::int64_t>(space.available))));
    }
  }
}

}  // namespace cdm
