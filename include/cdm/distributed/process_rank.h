// SPDX-License-Identifier: MIT
// Where a process stands among those that work together, as their launcher tells it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cdm {

struct ProcessRank {
  int rank = 0;                       // 0 .. size - 1
  int size = 1;                       // processes in all
  int local_rank = 0;                 // number among those of the same machine: its GPU
  std::string address = "127.0.0.1";  // of the machine of rank 0
  std::uint16_t port = 29500;         // there
  /// Whether rank 0 opens that port. torchrun's agent does it in its stead.
  bool hosts_port = true;
  std::string attempt;  // torchrun's number of the restart
};

/// The value of an environment variable, null where it is not set.
using Environment = std::function<const char*(const char*)>;

/// Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as torchrun sets them; without
/// RANK and WORLD_SIZE, what srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID,
/// SLURM_STEP_NODELIST, SLURM_JOB_ID) or Open MPI's mpirun (OMPI_COMM_WORLD_RANK, _SIZE,
/// _LOCAL_RANK, _LOCAL_SIZE) set; without those, the only process. Throws UserError, naming the
/// variable, for what is missing or no number of its range.
ProcessRank rank_from_environment(const Environment& environment);

/// The same from this process's environment.
ProcessRank rank_of_this_process();

/// The first machine of a list as Slurm writes it: "gpu[007-012,020],login1" -> "gpu007".
std::string first_host(const std::string& list);

}  // namespace cdm
