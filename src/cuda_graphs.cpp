// SPDX-License-Identifier: MIT
#include <dlfcn.h>

#include <stdexcept>

#include "cdm/recorded.h"
#include "cuda/graph_library.h"
#include "dl_error.h"

namespace cdm {

MakeRecorder cuda_graphs(at::Device device) {
  return [device] {
    void* const library = ::dlopen("libcdm-graphs.so", RTLD_NOW);
    void* const function = library == nullptr ? nullptr : ::dlsym(library, "cdm_make_cuda_graph");
    if (function == nullptr) throw std::runtime_error(dl_error());
    std::unique_ptr<GraphRecorder> graph;
    reinterpret_cast<MakeCudaGraph*>(function)(device, graph);
    return graph;
  };
}

}  // namespace cdm
