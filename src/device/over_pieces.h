// SPDX-License-Identifier: MIT
// Work on a batch, its images shared out among threads.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include <cstdint>
#include <vector>

#include "cdm/device/parallel.h"

namespace cdm {

/// The results of work(piece, rows of x, rows of labels) for the pieces of a batch, put together.
template <class Work>
at::Tensor over_pieces(const at::Tensor& x, const at::Tensor& labels, const Work& work) {
  const std::vector<Piece> pieces = cut_batch(x.size(0), x.device());
  if (pieces.size() == 1) return work(pieces[0], x, labels);
  std::vector<at::Tensor> results(pieces.size());
  for_each_piece(pieces, x.device(), [&](std::int64_t, const Piece& piece) {
    const auto rows = [&](const at::Tensor& batch) {
      return batch.defined() ? batch.narrow(0, piece.first, piece.count) : at::Tensor();
    };
    const auto index = static_cast<std::size_t>(&piece - pieces.data());
    results[index] = work(piece, rows(x), rows(labels));
  });
  return at::cat(results);
}

}  // namespace cdm
