// SPDX-License-Identifier: MIT
// A batch cut into pieces that threads work on at the same time.
//
// The images of a batch do not influence each other in a network: group normalisation and attention
// act within an image. On the CPU each thread therefore takes its own images through the whole
// network. If the threads shared every operation instead, they would wait for each other at
// thousands of barriers per step.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace cdm {

/// Rows first .. first + count - 1 of a batch.
struct RowRange {
  std::int64_t first, count;
};

/// Cuts a batch of `rows` rows into pieces of nearly equal size: one for a GPU, and one per thread
/// of LibTorch for the CPU. The CPU also gets only one piece when there are fewer rows than
/// threads, when there are more than 16 threads (the buffers of so many pieces would fill the
/// memory), or inside a parallel region. Pieces of more than `largest` rows (0 = no limit) are cut
/// further.
std::vector<RowRange> cut_batch(std::int64_t rows, at::Device device, std::int64_t largest = 0);

/// How many pieces for_each_piece() works on at the same time.
std::int64_t worker_count(const std::vector<RowRange>& pieces, at::Device device);

/// Calls work(worker, i) for every pieces[i], where `worker` is in 0 .. worker_count - 1. A worker
/// takes its pieces one after the other, in order. A single worker runs in the calling thread.
/// Several run at the same time in a thread each, where LibTorch's operations are single-threaded.
void for_each_piece(const std::vector<RowRange>& pieces, at::Device device,
                    const std::function<void(std::int64_t worker, std::size_t i)>& work);

}  // namespace cdm
