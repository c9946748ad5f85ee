// SPDX-License-Identifier: MIT
#include "nccl.h"

#include <dlfcn.h>

#include "../dl_error.h"

namespace cdm {

void make_nccl_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                     std::chrono::milliseconds timeout, NcclGroup& group) {
  void* const library = ::dlopen("libcdm-nccl.so", RTLD_NOW);
  void* const function = library == nullptr ? nullptr : ::dlsym(library, "cdm_make_nccl_group");
  if (function == nullptr) {
    group.error = dl_error();
    return;
  }
  reinterpret_cast<MakeNcclGroup*>(function)(store, rank, size, timeout, group);
}

}  // namespace cdm
