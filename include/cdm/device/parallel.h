// SPDX-License-Identifier: MIT
// A batch cut into pieces that are worked on side by side.
//
// Images of a batch do not meet in a CDM (group norm and attention act within an image), so on the
// CPU each thread takes its own images through the whole network. That spares the thousands of
// barriers a step that threads sharing each operation would wait at.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace cdm {

/// Rows first .. first + count - 1 of a batch.
struct Piece {
  std::int64_t first, count;
};

/// Cuts `rows` rows for `device`: on the CPU into one piece for each thread, where there are enough
/// rows for all and not so many threads that their buffers would fill the memory; on a GPU into
/// one. No piece has more than `largest` rows (0 = no limit).
std::vector<Piece> cut_batch(std::int64_t rows, at::Device device, std::int64_t largest = 0);

/// How many pieces for_each_piece works on at the same time: workers are 0 .. worker_count - 1.
std::int64_t worker_count(const std::vector<Piece>& pieces, at::Device device);

/// Calls work(worker, piece) for each piece; each worker takes its pieces one after the other, in
/// order. Calls of different workers may run at the same time, each in a thread of its own, in
/// which every operation runs single-threaded.
void for_each_piece(const std::vector<Piece>& pieces, at::Device device,
                    const std::function<void(std::int64_t worker, const Piece& piece)>& work);

}  // namespace cdm
