// SPDX-License-Identifier: MIT
// CUDA graphs. torch's CUDAGraph lies in libtorch_cuda, to which no program is linked (see
// src/device.cpp); libcdm-graphs.so is, and is loaded when a graph is first asked for.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "cdm/device/recorded.h"

namespace cdm {

/// What libcdm-graphs.so exports as cdm_make_cuda_graph.
using MakeCudaGraph = void(at::Device device, std::unique_ptr<GraphRecorder>& graph);

}  // namespace cdm
