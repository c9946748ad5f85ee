// SPDX-License-Identifier: MIT
// Whether steps are recorded as CUDA graphs (key cuda_graphs).
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "cdm/config/kinds.h"

namespace cdm {

/// Whether this build has libcdm-graphs.so, which records graphs.
bool built_with_cuda_graphs();

/// Whether functions are to be recorded on `device`: it is a GPU, the build can, and the key
/// cuda_graphs, which is `chosen`, is not off.
bool use_cuda_graphs(Feature chosen, at::Device device);

/// How many times graphs made by cuda_graphs() of recorded.h have been replayed in this process.
std::int64_t cuda_graph_replays();

}  // namespace cdm
