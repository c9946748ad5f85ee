// SPDX-License-Identifier: MIT
// Launches the kernels of update_kernels.cu. Plain C++, so that no CUDA or LibTorch header is
// needed to call them.
#pragma once

#include "train/update_block.h"

namespace cdm::cuda {

// T is float or double. All pointers, those in tables too, are memory of the current device, and
// `stream` is a cudaStream_t of it. Each function throws std::runtime_error when the launch fails,
// or in a build without CUDA.

/// Writes the sum of squares of each chunk of the table.
template <class T>
void launch_sum_squares(const UpdateTable<T>& table, double* partial, void* stream);
template <class T>
void launch_decide(const UpdateRules& rules, const Decision<T>& decision, void* stream);
template <class T>
void launch_update(const UpdateTable<T>& table, const UpdateRules& rules,
                   const UpdateFactors* factors, void* stream);

// Instantiates the three functions for one type, after their definition.
#define CDM_UPDATE_LAUNCHERS(T)                                                                   \
  template void launch_sum_squares<T>(const UpdateTable<T>&, double*, void*);                     \
  template void launch_decide<T>(const UpdateRules&, const Decision<T>&, void*);                  \
  template void launch_update<T>(const UpdateTable<T>&, const UpdateRules&, const UpdateFactors*, \
                                 void*);

}  // namespace cdm::cuda
