// SPDX-License-Identifier: MIT
#include "distributed/nccl.h"

#include "core/shared_library.h"

namespace cdm {

void make_nccl_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                     std::chrono::milliseconds timeout, NcclGroup& group) {
  void* const function = dl_function("libcdm-nccl.so", "cdm_make_nccl_group");
  if (function == nullptr) {
    group.error = dl_error();
    return;
  }
  reinterpret_cast<MakeNcclGroup*>(function)(store, rank, size, timeout, group);
}

}  // namespace cdm
