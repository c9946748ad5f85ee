// SPDX-License-Identifier: MIT
// The rank of a process among those that work together, and where they meet, as their launcher
// (torchrun, srun or mpirun) says in environment variables.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cdm {

struct ProcessRank {
  int rank = 0;                       // 0 .. size - 1
  int size = 1;                       // number of processes
  int local_rank = 0;                 // rank among those on the same machine; chooses the GPU
  std::string address = "127.0.0.1";  // the machine of rank 0
  std::uint16_t port = 29500;         // the port on that machine where the processes meet
  /// Whether rank 0 listens on that port. Under torchrun its agent listens instead.
  bool hosts_port = true;
  std::string attempt;  // how often torchrun has restarted the processes; "" without torchrun
};

/// Returns the value of an environment variable, or null when it is not set.
using Environment = std::function<const char*(const char*)>;

/// Reads the variables of the first launcher of this list that has set its own:
///   torchrun: RANK, WORLD_SIZE, LOCAL_RANK;
///   srun: SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST (address) and
///     SLURM_JOB_ID (makes a port per job);
///   Open MPI's mpirun: OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK and _LOCAL_SIZE.
/// MASTER_ADDR and MASTER_PORT set address and port for any of them. Without a launcher there is
/// one process. Throws UserError, naming the variable, when one is missing or is not a number in
/// its range.
ProcessRank rank_from_environment(const Environment& environment);

/// Reads this process's environment.
ProcessRank rank_of_this_process();

/// The first machine of a list in Slurm's notation: "gpu[007-012,020],login1" -> "gpu007".
std::string first_host(const std::string& list);

}  // namespace cdm
