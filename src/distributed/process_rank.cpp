// SPDX-License-Identifier: MIT
#include "cdm/distributed/process_rank.h"

#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::int64_t kPorts = 65535;

std::int64_t number(const char* name, std::string_view text, std::int64_t low, std::int64_t high) {
  const std::optional<std::int64_t> value = whole_number(text);
  if (!value || *value < low || *value > high) {
    throw UserError(concat("environment variable ", name, " = ", text,
                           ": must be a whole number in ", low, "..", high));
  }
  return *value;
}

/// Rank, size and local rank from the variables of one launcher.
ProcessRank read_rank(const Environment& environment, const char* rank, const char* size,
                      const char* local_rank) {
  const auto read = [&](const char* name, std::int64_t low, std::int64_t high) {
    const char* const text = environment(name);
    if (text == nullptr) {
      throw UserError(concat("environment variable ", name, " is not set, ", rank, " or ", size,
                             " is: a launcher sets both"));
    }
    return static_cast<int>(number(name, text, low, high));
  };
  ProcessRank process;
  process.size = read(size, 1, std::numeric_limits<int>::max());
  process.rank = read(rank, 0, process.size - 1);
  if (environment(local_rank) != nullptr) process.local_rank = read(local_rank, 0, process.rank);
  return process;
}

}  // namespace

std::string first_host(const std::string& list) {
  const std::size_t end = list.find_first_of(",[");
  std::string host = list.substr(0, end);
  if (end != std::string::npos && list[end] == '[') {
    host += list.substr(end + 1, list.find_first_of("-,]", end) - end - 1);
  }
  return host;
}

ProcessRank rank_from_environment(const Environment& environment) {
  const auto has = [&](const char* name) { return environment(name) != nullptr; };
  ProcessRank process;
  if (has("RANK") || has("WORLD_SIZE")) {
    process = read_rank(environment, "RANK", "WORLD_SIZE", "LOCAL_RANK");
    const char* const agent = environment("TORCHELASTIC_USE_AGENT_STORE");
    process.hosts_port = agent == nullptr || std::string_view(agent) != "True";
    if (has("TORCHELASTIC_RESTART_COUNT"))
      process.attempt = environment("TORCHELASTIC_RESTART_COUNT");
  } else if (has("SLURM_PROCID") && has("SLURM_STEP_NUM_TASKS")) {
    // Not SLURM_NTASKS: it is also set in a batch script, where only one process runs.
    process = read_rank(environment, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID");
    if (has("SLURM_STEP_NODELIST"))
      process.address = first_host(environment("SLURM_STEP_NODELIST"));
    if (has("SLURM_JOB_ID")) {
      // A port that depends on the job, because several jobs may share a machine.
      constexpr std::int64_t kFirst = 20000;
      constexpr std::int64_t kCount = 10000;
      process.port =
          static_cast<std::uint16_t>(kFirst + number("SLURM_JOB_ID", environment("SLURM_JOB_ID"), 0,
                                                     std::numeric_limits<std::int64_t>::max()) %
                                                  kCount);
    }
  } else if (has("OMPI_COMM_WORLD_SIZE")) {
    process = read_rank(environment, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                        "OMPI_COMM_WORLD_LOCAL_RANK");
    const char* const here = environment("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (!has("MASTER_ADDR") && (here == nullptr || std::to_string(process.size) != here)) {
      throw UserError(
          "environment variable MASTER_ADDR is not set: mpirun on several machines does not say "
          "which of them has rank 0; give it by -x MASTER_ADDR=NAME");
    }
  }
  if (has("MASTER_ADDR")) process.address = environment("MASTER_ADDR");
  if (has("MASTER_PORT")) {
    process.port =
        static_cast<std::uint16_t>(number("MASTER_PORT", environment("MASTER_PORT"), 1, kPorts));
  }
  return process;
}

ProcessRank rank_of_this_process() {
  return rank_from_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace cdm
