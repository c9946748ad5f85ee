// SPDX-License-Identifier: MIT
// Launches the kernels of kernels.cu: what lies between the matrix products of attention, row by
// row. Plain C++, so that no CUDA or LibTorch header is needed to call them.
//
// The rows of P are softmaxes: P = softmax(scale S). For a row, <x, y> is the sum of x y.
//   gradient:             dS = scale P (dP - <P, dP>)
//   second derivative:    let L be a function of dS and of P, with the derivatives A with respect
//   to
//                         dS, where P and dP are fixed in the formula above, and G with respect to
//                         P. With D = scale (A - <P, A>) and W = D dS + scale P G,
//                           dL/d(dP) = P D   and   dL/dS = W - P <1, W>.
// W stands for P times the derivative of L with respect to P. A multiple of P in it, which is what
// <P, dP> contributes, cancels in dL/dS, so that dP need not be kept.
#pragma once

#include <cstdint>

#include "device/host_device.h"
#include "ops/group_norm/bfloat16.h"
#include "ops/pack.h"

namespace cdm::cuda {

/// How a matrix [rows, columns] is divided among blocks. `lanes` threads, a power of two, share a
/// row. Each of them holds kPackWidth<T> of its numbers.
struct RowLayout {
  std::int64_t rows;
  int columns, lanes, threads;

  CDM_HOST_DEVICE int rows_per_block() const { return threads / lanes; }
  CDM_HOST_DEVICE int blocks() const {
    return static_cast<int>((rows + rows_per_block() - 1) / rows_per_block());
  }
};

/// The most numbers in a row: a row must fit into one block.
template <class T>
constexpr std::int64_t kMaxColumns = 1024 * kPackWidth<T>;

/// Blocks have `threads` threads, a multiple of 32; more when a row needs more.
template <class T>
RowLayout row_layout(std::int64_t rows, std::int64_t columns, int threads = 256) {
  int lanes = 1;
  while (lanes * kPackWidth<T> < columns) lanes *= 2;
  return {rows, static_cast<int>(columns), lanes, lanes > threads ? lanes : threads};
}

// T is float, double or Bfloat16. Matrices are [rows, columns] in the memory of the current device,
// and `stream` is a cudaStream_t of it. Results may take the place of arguments. There is at least
// one row, and 1 to kMaxColumns<T> columns. Each function throws std::runtime_error when the launch
// fails, or in a build without CUDA.

/// Replaces S by P.
template <class T>
void softmax_rows(std::int64_t rows, std::int64_t columns, double scale, T* s, void* stream);

/// Writes dS.
template <class T>
void softmax_rows_gradient(std::int64_t rows, std::int64_t columns, double scale, const T* p,
                           const T* grad_p, T* grad_s, void* stream);

template <class T>
struct SoftmaxSecond {
  const T *p, *grad_s, *a, *g;
  T *to_grad_p, *to_s;  // dL/d(dP), dL/dS
};
template <class T>
void softmax_rows_second(std::int64_t rows, std::int64_t columns, double scale,
                         const SoftmaxSecond<T>& arrays, void* stream);

// Instantiates the functions for one type, after their definition.
#define CDM_SOFTMAX_LAUNCHERS(T)                                                                 \
  template void softmax_rows<T>(std::int64_t, std::int64_t, double, T*, void*);                  \
  template void softmax_rows_gradient<T>(std::int64_t, std::int64_t, double, const T*, const T*, \
                                         T*, void*);                                             \
  template void softmax_rows_second<T>(std::int64_t, std::int64_t, double,                       \
                                       const SoftmaxSecond<T>&, void*);

}  // namespace cdm::cuda
