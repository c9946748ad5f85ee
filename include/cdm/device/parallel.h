// SPDX-License-Identifier: MIT
// A batch cut into pieces that are worked on side by side.
//
// Images of a batch do not meet in a network (group norm and attention act within an image). On the
// CPU each thread therefore takes its own images through the whole network. If threads shared each
// operation instead, they would wait for one another at thousands of barriers a step.
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

/// Cuts `rows` rows for `device`. On the CPU there is one piece for each thread, where there are
/// rows for all of them and at most 16 threads (the buffers of more would fill the memory); on a GPU
/// there is one piece. No piece has more than `largest` rows (0 = no limit).
std::vector<RowRange> cut_batch(std::int64_t rows, at::Device device, std::int64_t largest = 0);

/// How many pieces for_each_piece works on at the same time: workers are 0 .. worker_count - 1.
std::int64_t worker_count(const std::vector<RowRange>& pieces, at::Device device);

/// Calls work(worker, i) for each pieces[i]. Each worker takes its pieces one after the other, in
/// order. Different workers may run at the same time, each in a thread of its own, in which every
/// operation runs single-threaded.
void for_each_piece(const std::vector<RowRange>& pieces, at::Device device,
                    const std::function<void(std::int64_t worker, std::size_t i)>& work);

}  // namespace cdm
