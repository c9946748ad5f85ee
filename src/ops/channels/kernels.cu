// SPDX-License-Identifier: MIT
#include <cstddef>

#include "device/check_cuda.h"
#include "ops/channels/block.h"

namespace cdm::cuda {
namespace {

template <class S>
struct DeviceBlock {
  S* memory;

  __device__ int index() const { return static_cast<int>(blockIdx.x); }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ void sync() const { __syncthreads(); }
  __device__ S* shared() const { return memory; }
};

template <class S>
__device__ DeviceBlock<S> this_block() {
  extern __shared__ double memory[];
  return {reinterpret_cast<S*>(memory)};
}

template <class T, int V>
__global__ void residual_sum_kernel(ChannelLayout layout, const T* a, const T* b,
                                    const Sum<T>* bias, T* out) {
  residual_sum_block<T, V>(this_block<Sum<T>>(), layout, a, b, bias, out);
}

template <class T, int V>
__global__ void sum_channels_kernel(ChannelLayout layout, const T* x, Sum<T>* out) {
  sum_channels_block<T, V>(this_block<Sum<T>>(), layout, x, out);
}

template <class T, int V>
__global__ void concat_channels_kernel(ChannelLayout layout, Concatenation<T> arrays) {
  concat_channels_block<T, V>(this_block<T>(), layout, arrays);
}

template <class T, int V>
__global__ void split_channels_kernel(ChannelLayout layout, Concatenation<T> arrays) {
  split_channels_block<T, V>(this_block<T>(), layout, arrays);
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(ChannelLayout, Parameters...),
            const ChannelLayout& layout, std::size_t shared, void* stream,
            const Arguments&... arguments) {
  kernel<<<static_cast<unsigned>(layout.blocks()), static_cast<unsigned>(layout.threads()), shared,
           static_cast<cudaStream_t>(stream)>>>(layout, arguments...);
  check_cuda(cudaGetLastError(), name);
}

/// One pass of sum_channels(): from [pixels, channels] to the sums of each of the layout's chunks.
template <class T, int V>
void sum_chunks(const ChannelLayout& layout, const T* x, Sum<T>* out, void* stream) {
  const std::size_t shared = sizeof(Sum<T>) * V * static_cast<std::size_t>(layout.threads());
  launch("sum over pixels", sum_channels_kernel<T, V>, layout, shared, stream, x, out);
}

template <class T, int V>
void sum_in_two_passes(std::int64_t pixels, std::int64_t channels, const T* x, Sum<T>* partial,
                       Sum<T>* out, void* stream) {
  const ChannelLayout layout = sum_layout(pixels, channels, V);
  if (layout.chunks == 1) return sum_chunks<T, V>(layout, x, out, stream);
  sum_chunks<T, V>(layout, x, partial, stream);
  // The chunks are few enough for one block per tile.
  constexpr int kWidth = V > 1 ? kPackWidth<Sum<T>> : 1;
  ChannelLayout second = sum_layout(layout.chunks, channels, kWidth);
  second.chunks = 1;
  sum_chunks<Sum<T>, kWidth>(second, partial, out, stream);
}

template <class T>
void copy_parts(const char* name, void (*vectors)(ChannelLayout, Concatenation<T>),
                void (*single)(ChannelLayout, Concatenation<T>), std::int64_t pixels,
                const Concatenation<T>& arrays, void* stream) {
  const bool fit = packs_fit<T>(arrays.first, arrays.a, arrays.b, arrays.whole) &&
                   arrays.second % kPackWidth<T> == 0;
  launch(name, fit ? vectors : single,
         channel_layout(pixels, arrays.first + arrays.second, fit ? kPackWidth<T> : 1), 0, stream,
         arrays);
}

}  // namespace

template <class T>
void residual_sum(std::int64_t pixels, std::int64_t channels, const T* a, const T* b,
                  const Sum<T>* bias, T* out, void* stream) {
  const auto run = [&](int width, auto* kernel) {
    launch("residual sum", kernel, channel_layout(pixels, channels, width), 0, stream, a, b, bias,
           out);
  };
  if (packs_fit<T>(channels, a, b, out)) {
    run(kPackWidth<T>, residual_sum_kernel<T, kPackWidth<T>>);
  } else {
    run(1, residual_sum_kernel<T, 1>);
  }
}

template <class T>
void sum_channels(std::int64_t pixels, std::int64_t channels, const T* x, Sum<T>* partial,
                  Sum<T>* out, void* stream) {
  if (packs_fit<T>(channels, x, partial, out)) {
    sum_in_two_passes<T, kPackWidth<T>>(pixels, channels, x, partial, out, stream);
  } else {
    sum_in_two_passes<T, 1>(pixels, channels, x, partial, out, stream);
  }
}

template <class T>
void concat_channels(std::int64_t pixels, const Concatenation<T>& arrays, void* stream) {
  copy_parts("concatenation", concat_channels_kernel<T, kPackWidth<T>>,
             concat_channels_kernel<T, 1>, pixels, arrays, stream);
}

template <class T>
void split_channels(std::int64_t pixels, const Concatenation<T>& arrays, void* stream) {
  copy_parts("split", split_channels_kernel<T, kPackWidth<T>>, split_channels_kernel<T, 1>, pixels,
             arrays, stream);
}

CDM_CHANNEL_LAUNCHERS(float)
CDM_CHANNEL_LAUNCHERS(double)
CDM_CHANNEL_LAUNCHERS(Bfloat16)

}  // namespace cdm::cuda
