// SPDX-License-Identifier: MIT
// A block of GPU threads, imitated by threads of the CPU: the same source that a kernel runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "ops/group_norm/bfloat16.h"

namespace cdm::test {

/// The memory of a tensor, and the type of tensors whose numbers a kernel takes for T.
template <class T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}
template <class T>
inline constexpr at::ScalarType kType = at::kDouble;
template <>
inline constexpr at::ScalarType kType<float> = at::kFloat;
template <>
inline constexpr at::ScalarType kType<cuda::Bfloat16> = at::kBFloat16;

constexpr int kWarp = 32;  // threads

/// What the threads of a block share. `S` is the type of the numbers in the block's memory.
template <class S>
struct HostBlockMemory {
  HostBlockMemory(int threads, int numbers)
      : block(threads),
        shared(static_cast<std::size_t>(numbers)),
        exchanged(static_cast<std::size_t>(threads)) {
    for (int first = 0; first < threads; first += kWarp) {
      warps.emplace_back(std::min(kWarp, threads - first));
    }
  }

  std::barrier<> block;
  std::deque<std::barrier<>> warps;
  std::vector<S> shared;
  std::vector<S> exchanged;  // by the threads of a warp
};

template <class S>
class HostBlock {
 public:
  HostBlock(int index, int thread, HostBlockMemory<S>& memory)
      : index_(index), thread_(thread), memory_(memory) {}

  int index() const { return index_; }
  int thread() const { return thread_; }
  void sync() const { memory_.block.arrive_and_wait(); }
  S* shared() const { return memory_.shared.data(); }

  /// The value of the thread whose number differs in the bits of `mask`. All threads of a warp must
  /// call it.
  S shuffle_xor(S value, int mask) const {
    std::barrier<>& warp = memory_.warps[static_cast<std::size_t>(thread_ / kWarp)];
    memory_.exchanged[static_cast<std::size_t>(thread_)] = value;
    warp.arrive_and_wait();
    const S other = memory_.exchanged[static_cast<std::size_t>(thread_ ^ mask)];
    warp.arrive_and_wait();
    return other;
  }

 private:
  int index_, thread_;
  HostBlockMemory<S>& memory_;
};

/// Runs body(block) in every thread of every block, one block after the other. A block has memory
/// for `numbers` numbers.
template <class S, class Body>
void launch_on_host(int blocks, int threads, int numbers, const Body& body) {
  HostBlockMemory<S> memory(threads, numbers);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      for (int index = 0; index < blocks; ++index) {
        const HostBlock<S> block(index, thread, memory);
        body(block);
        block.sync();  // the next block has the same memory
      }
    });
  }
  for (std::thread& thread : running) thread.join();
}

}  // namespace cdm::test
