// SPDX-License-Identifier: MIT
#include "program.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/temporary_file.h"
#include "cdm/core/text.h"
#include "cdm/core/version.h"
#include "cdm/device/device.h"
#include "cdm/device/memory_advice.h"
#include "option_values.h"

namespace cdm {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

/// Opens those of the descriptors 0, 1 and 2 that are closed (a shell's 2>&-), so that no file that
/// the program writes becomes its standard error. Reading from such an input, or writing to such an
/// output, still fails.
void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    // open() returns the lowest free number, which is this one.
    [[maybe_unused]] const int opened =
        ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  hold_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit on file sizes fails, and is reported
  remove_temporary_files_when_stopped();
  keep_freed_memory();
  CLI::App app(program.description, program.name);
  app.footer(example_text(program.example));
  app.option_defaults()->always_capture_default();
  app.set_version_flag("--version", version_text());
  try {
    program.declare(app);
    check_option_values(app);
    check_arguments(app, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request, std::cout, std::cerr);
  } catch (const CLI::Error& error) {
    log_error(parse_message(app, error));
    return kWrongUse;
  }
  // Before anything asks LibTorch for CUDA, and not for --help and wrong use: it can take seconds.
  load_cuda_runtime();
  try {
    program.body();
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("cannot write to standard output");
    return 0;
  } catch (const UserError& error) {
    log_error(in_one_line(error.what()));
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

std::string example_text(const std::string& example) { return "Example:\n  " + example + "\n"; }

ProcessGroup join_group(Collectives collectives) {
  const ProcessRank process = rank_of_this_process();
  if (process.rank > 0) log_only_warnings(concat("rank ", process.rank, ": "));
  return ProcessGroup(process, collectives);
}

void require_single_process(const std::string& program) {
  if (rank_of_this_process().size == 1) return;
  std::string given;
  for (const char* const name :
       {"RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) given += concat(given.empty() ? "" : ", ", name, " = ", value);
  }
  throw UserError(concat(program, ": works in one process, and a launcher has started several (",
                         given, "); call it without torchrun, srun or mpirun"));
}

}  // namespace cdm
