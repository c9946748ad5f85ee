// SPDX-License-Identifier: MIT
#include "cdm/device/parallel.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <omp.h>

#include <algorithm>

namespace cdm {
namespace {

constexpr std::int64_t kMostWorkers = 16;

std::int64_t workers_for(std::int64_t rows, at::Device device) {
  if (!device.is_cpu() || at::in_parallel_region()) return 1;
  const std::int64_t threads = at::get_num_threads();
  return threads <= std::min(rows, kMostWorkers) ? threads : 1;
}

/// Makes operations that this thread of a parallel region calls run single-threaded. Without it,
/// oneDNN plans convolutions for omp_get_max_threads() threads but gets one, which waits for ever.
void use_one_thread() {
  // ATen sets a thread's number of OpenMP threads when the thread first asks for it. There are two
  // copies of that code: one is inlined here, the other is within LibTorch. Both must have run
  // before the number is changed, or they would change it back.
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
  omp_set_num_threads(1);  // for this thread, until the parallel region ends
}

}  // namespace

std::vector<RowRange> cut_batch(std::int64_t rows, at::Device device, std::int64_t largest) {
  if (rows == 0) return {{0, 0}};
  const std::int64_t workers = workers_for(rows, device);
  std::int64_t count = workers;
  if (largest > 0) {
    const std::int64_t rows_each = (rows + workers - 1) / workers;
    count *= (rows_each + largest - 1) / largest;
  }
  std::vector<RowRange> pieces;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = rows * i / count;
    const std::int64_t next = rows * (i + 1) / count;
    if (next > first) pieces.push_back({first, next - first});
  }
  return pieces;
}

std::int64_t worker_count(const std::vector<RowRange>& pieces, at::Device device) {
  return std::min<std::int64_t>(workers_for(static_cast<std::int64_t>(pieces.size()), device),
                                static_cast<std::int64_t>(pieces.size()));
}

void for_each_piece(const std::vector<RowRange>& pieces, at::Device device,
                    const std::function<void(std::int64_t worker, std::size_t i)>& work) {
  const auto count = static_cast<std::int64_t>(pieces.size());
  const std::int64_t workers = worker_count(pieces, device);
  const auto run = [&](std::int64_t worker) {
    for (std::int64_t i = count * worker / workers; i < count * (worker + 1) / workers; ++i) {
      work(worker, static_cast<std::size_t>(i));
    }
  };
  if (workers == 1) return run(0);
  const at::ThreadLocalState caller;  // gradient mode and the like
  at::parallel_for(0, workers, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::ThreadLocalStateGuard as_caller(caller);
    use_one_thread();
    for (std::int64_t worker = begin; worker < end; ++worker) run(worker);
  });
}

}  // namespace cdm
