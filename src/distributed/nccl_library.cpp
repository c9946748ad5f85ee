// SPDX-License-Identifier: MIT
// The source of libcdm-nccl.so: see nccl.h.
#include <nccl.h>
#include <torch/csrc/cuda/nccl.h>

#include <exception>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <type_traits>

#include "distributed/nccl.h"

extern "C" __attribute__((visibility("default"))) void cdm_make_nccl_group(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
    std::chrono::milliseconds timeout, cdm::NcclGroup& group) {
  // Options contains a struct of NCCL, whose layout differs between NCCL's versions.
  const std::uint64_t version = torch::cuda::nccl::version();
  if (version >> 32 != NCCL_MAJOR || (version >> 16 & 0xffff) != NCCL_MINOR) {
    group.error = "libcdm-nccl.so was built with another NCCL than LibTorch";
    return;
  }
  try {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    group.backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
  } catch (const std::exception& exception) {
    group.error = exception.what();
  }
}

static_assert(std::is_same_v<decltype(cdm_make_nccl_group), cdm::MakeNcclGroup>);
