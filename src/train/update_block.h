// SPDX-License-Identifier: MIT
// What a block of threads does in the CUDA kernels of an update (update_kernels.cu). It is a
// template of the block, so that the CPU can run it, too: one thread after the other or with
// threads of the host.
//
//   sum_squares()  a block per chunk of a parameter: the sum of the squares of its gradients
//   decide()       one block: the norm, whether the step is skipped, factors and counts
//   update()       a block per chunk: weights, moments and averages
//
// All sums have a fixed order, so that a step gives the same bits each time.
#pragma once

#include <cstdint>

#include "train/update_arithmetic.h"

namespace cdm::cuda {

/// One parameter: `size` values each, in the same order in memory.
template <class T>
struct UpdateTensor {
  const T* gradient;
  T* weight;
  T *first, *second;           // Adam's moments; null where Muon has updated the weight
  T* averages[kMostAverages];  // as many as the rules say
  std::int64_t size;
  bool decays;      // whether weight decay applies to it
  int first_chunk;  // the number of its first chunk in the table
};

constexpr std::int64_t kChunk = 8192;  // values of a parameter that a block takes

/// Some of the parameters. The table is an argument of the kernels, which a recorded CUDA graph
/// keeps; kernels may have 4 KiB of arguments.
template <class T>
struct UpdateTable {
  static constexpr int kMost = 46;
  int chunks = 0;
  int count = 0;
  UpdateTensor<T> tensors[kMost] = {};

  /// Adds a parameter, whose first_chunk is set.
  void add(UpdateTensor<T> tensor) {
    tensor.first_chunk = chunks;
    chunks += static_cast<int>((tensor.size + kChunk - 1) / kChunk);
    tensors[count++] = tensor;
  }

  /// The parameter that has chunk number `chunk`.
  CDM_HOST_DEVICE const UpdateTensor<T>& of_chunk(std::int64_t chunk) const {
    int low = 0;
    int high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (tensors[middle].first_chunk <= chunk) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return tensors[low];
  }
};

static_assert(sizeof(UpdateTable<float>) + sizeof(UpdateRules) + sizeof(void*) <= 4096);

/// What decide() reads and writes.
template <class T>
struct Decision {
  const double* partial;  // the sums of squares of all chunks of all tables
  std::int64_t chunks;    // their number
  const T* loss;
  const double* time_used;  // share of the run's time
  std::int64_t* counts;     // {steps taken, steps skipped}
  UpdateFactors* factors;   // of this step
  T* norm;
  float* skipped;
};

/// `Block` has index(), thread(), threads() (a power of two), sync(), and shared(): memory for a
/// double per thread.
template <class T, class Block>
class UpdateBlock {
 public:
  CDM_HOST_DEVICE explicit UpdateBlock(const Block& block) : block_(block) {}

  CDM_HOST_DEVICE void sum_squares(const UpdateTable<T>& table, double* partial) const {
    const UpdateTensor<T>& tensor = table.of_chunk(block_.index());
    double sum = 0.0;
    for_each_four(tensor, [&](std::int64_t first, int count) {
      T g[kFour];
      load(tensor.gradient + first, count, g);
      for (int k = 0; k < kFour; ++k) sum += static_cast<double>(g[k]) * static_cast<double>(g[k]);
    });
    sum = sum_of_threads(sum);
    if (block_.thread() == 0) partial[block_.index()] = sum;
  }

  CDM_HOST_DEVICE void decide(const UpdateRules& rules, const Decision<T>& decision) const {
    double sum = 0.0;
    for (std::int64_t i = block_.thread(); i < decision.chunks; i += block_.threads()) {
      sum += decision.partial[i];
    }
    sum = sum_of_threads(sum);
    if (block_.thread() != 0) return;
    const auto norm = static_cast<T>(::sqrt(sum));
    std::int64_t& steps = decision.counts[0];
    std::int64_t& skipped = decision.counts[1];
    const UpdateFactors factors =
        update_factors(rules, steps, steps - skipped, *decision.time_used, norm, *decision.loss);
    *decision.factors = factors;
    *decision.norm = norm;
    *decision.skipped = static_cast<float>(factors.skipped);
    ++steps;
    if (factors.skipped != 0.0) ++skipped;
  }

  CDM_HOST_DEVICE void update(const UpdateTable<T>& table, const UpdateRules& rules,
                              const UpdateFactors& factors) const {
    if (factors.skipped != 0.0) return;
    const UpdateOf<T> adam(rules, factors);
    const UpdateTensor<T>& tensor = table.of_chunk(block_.index());
    for_each_four(tensor, [&](std::int64_t first, int count) {
      T weight[kFour];
      load(tensor.weight + first, count, weight);
      if (tensor.first != nullptr) {
        T g[kFour];
        T moment1[kFour];
        T moment2[kFour];
        load(tensor.gradient + first, count, g);
        load(tensor.first + first, count, moment1);
        load(tensor.second + first, count, moment2);
        for (int k = 0; k < kFour; ++k) {
          WeightState<T> state = {weight[k], moment1[k], moment2[k]};
          adam(state, g[k], tensor.decays);
          weight[k] = state.weight;
          moment1[k] = state.first;
          moment2[k] = state.second;
        }
        store(weight, count, tensor.weight + first);
        store(moment1, count, tensor.first + first);
        store(moment2, count, tensor.second + first);
      }
      for (std::int64_t i = 0; i < rules.averages; ++i) {
        T average[kFour];
        load(tensor.averages[i] + first, count, average);
        for (int k = 0; k < kFour; ++k) {
          average[k] = moved(average[k], weight[k], T(factors.share[i]));
        }
        store(average, count, tensor.averages[i] + first);
      }
    });
  }

 private:
  static constexpr int kFour = 4;  // values that a thread takes at a time

  struct alignas(kFour * sizeof(T)) Four {
    T values[kFour];
  };

  static CDM_HOST_DEVICE bool is_aligned(const T* address) {
    return reinterpret_cast<std::uintptr_t>(address) % sizeof(Four) == 0;
  }

  /// Four values, by one access where memory is aligned; those after `count` become 0.
  static CDM_HOST_DEVICE void load(const T* from, int count, T (&to)[kFour]) {
    if (count == kFour && is_aligned(from)) {
      const Four four = *reinterpret_cast<const Four*>(from);
      for (int k = 0; k < kFour; ++k) to[k] = four.values[k];
      return;
    }
    for (int k = 0; k < kFour; ++k) to[k] = k < count ? from[k] : T(0);
  }

  static CDM_HOST_DEVICE void store(const T (&from)[kFour], int count, T* to) {
    if (count == kFour && is_aligned(to)) {
      Four four;
      for (int k = 0; k < kFour; ++k) four.values[k] = from[k];
      *reinterpret_cast<Four*>(to) = four;
      return;
    }
    for (int k = 0; k < count; ++k) to[k] = from[k];
  }

  /// Calls work(first, count) for this thread's part of the block's chunk: `count` (1 .. 4) values
  /// from number `first` on.
  template <class Work>
  CDM_HOST_DEVICE void for_each_four(const UpdateTensor<T>& tensor, const Work& work) const {
    const std::int64_t begin = (block_.index() - tensor.first_chunk) * kChunk;
    const std::int64_t end = begin + kChunk < tensor.size ? begin + kChunk : tensor.size;
    const std::int64_t stride = static_cast<std::int64_t>(block_.threads()) * kFour;
    for (std::int64_t i = begin + block_.thread() * kFour; i < end; i += stride) {
      work(i, end - i < kFour ? static_cast<int>(end - i) : kFour);
    }
  }

  /// The sum over the block's threads, in thread 0.
  CDM_HOST_DEVICE double sum_of_threads(double value) const {
    double* const shared = block_.shared();
    const int thread = block_.thread();
    shared[thread] = value;
    for (int half = block_.threads() / 2; half > 0; half /= 2) {
      block_.sync();
      if (thread < half) shared[thread] += shared[thread + half];
    }
    return shared[thread];
  }

  Block block_;
};

}  // namespace cdm::cuda
