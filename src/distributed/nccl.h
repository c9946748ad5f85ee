// SPDX-License-Identifier: MIT
// Sums over GPUs by NCCL. torch's ProcessGroupNCCL lies in libtorch_cuda, to which no program is
// linked (see src/device.cpp); libcdm-nccl.so is, and is loaded once there are GPUs to sum over.
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace cdm {

struct NcclGroup {
  c10::intrusive_ptr<c10d::Backend> backend;  // null: NCCL cannot be used
  std::string error;                          // then says why
};

/// What libcdm-nccl.so exports as cdm_make_nccl_group. A call that takes longer than `timeout` ends
/// the process.
using MakeNcclGroup = void(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                           std::chrono::milliseconds timeout, NcclGroup& group);

/// As above; loads the library, looking where the program's other libraries are.
MakeNcclGroup make_nccl_group;

}  // namespace cdm
