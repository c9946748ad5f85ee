// SPDX-License-Identifier: MIT
// CUDA graphs. LibTorch's CUDAGraph is in libtorch_cuda, which programs are not linked to (see
// src/device/device.cpp). libcdm-graphs.so is linked to it, and is loaded when the first graph is
// made.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "cdm/device/recorded.h"

namespace cdm {

/// The type of the function cdm_make_cuda_graph that libcdm-graphs.so exports.
using MakeCudaGraph = void(at::Device device, std::unique_ptr<GraphRecorder>& graph);

}  // namespace cdm
