// SPDX-License-Identifier: MIT
// Sums over GPUs by NCCL. LibTorch's ProcessGroupNCCL is in libtorch_cuda, which programs are not
// linked to (see src/device/device.cpp). libcdm-nccl.so is linked to it, and is loaded when tensors
// of GPUs are first summed.
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace cdm {

struct NcclGroup {
  c10::intrusive_ptr<c10d::Backend> backend;  // null when NCCL cannot be used
  std::string error;                          // the reason in that case
};

/// The type of the function cdm_make_nccl_group that libcdm-nccl.so exports. An operation of the
/// group that takes longer than `timeout` ends the process.
using MakeNcclGroup = void(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                           std::chrono::milliseconds timeout, NcclGroup& group);

/// Loads libcdm-nccl.so from where the program's other libraries are, and calls that function.
MakeNcclGroup make_nccl_group;

}  // namespace cdm
