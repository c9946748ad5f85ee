// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "cdm/device/recorded.h"
#include "core/shared_library.h"
#include "device/graph_library.h"

namespace cdm {

MakeRecorder cuda_graphs(at::Device device) {
  return [device] {
    void* const function = dl_function("libcdm-graphs.so", "cdm_make_cuda_graph");
    if (function == nullptr) throw std::runtime_error(dl_error());
    std::unique_ptr<GraphRecorder> graph;
    reinterpret_cast<MakeCudaGraph*>(function)(device, graph);
    return graph;
  };
}

}  // namespace cdm
