// SPDX-License-Identifier: MIT
// Errors of the CUDA runtime as exceptions, for the files that nvcc compiles.
#pragma once

#include <stdexcept>
#include <string>

namespace cdm::cuda {

/// Throws std::runtime_error when `error` is one. `what` says what the GPU was asked to do.
inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // else the next launch of anyone would report it once more
  throw std::runtime_error(std::string(what) + " on the GPU: " + cudaGetErrorString(error));
}

}  // namespace cdm::cuda
