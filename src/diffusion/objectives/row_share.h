// SPDX-License-Identifier: MIT
// A share q of the rows of a batch gets the denoising error (loss.mse_share), and the network is
// evaluated apart on these rows and on the others. So double backpropagation goes through the first
// part only, and a step costs 3 + 3q forward passes instead of 6.
//
// Row r of the batch is in the share when floor((r + 1) q) > floor(r q). These rows are spread
// evenly: any n rows in a row hold floor(n q) or ceil(n q) of them. Which images and levels they
// have is random all the same. The number of rows that a part of the batch evaluates must not
// depend on which part it is, because a recording (device/recorded.h) has fixed shapes. So where n
// q is not a whole number, one row is evaluated in both parts, and one of the two results is not
// used.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/diffusion/objective.h"

namespace cdm {

class RowShare {
 public:
  /// What to draw for each row: int64 [B], its number among the rows of its kind in the batch. The
  /// numbers of rows outside the share begin at 2^31.
  static at::Tensor places(const RowDraws& draws, double share);

  /// `places`: those of rows that follow one another in the batch, in any order.
  RowShare(const at::Tensor& places, double share);

  /// The rows to evaluate with the denoising error, and those to evaluate without: int64, positions
  /// in `places`.
  const at::Tensor& inside() const { return inside_; }
  const at::Tensor& outside() const { return outside_; }

  /// The numbers of the first rows of both, for their dropout masks: int64 scalars. They depend on
  /// the rows, not on the part of the batch that these are in.
  at::Tensor first_inside() const { return first_inside_; }
  at::Tensor first_outside() const { return first_outside_; }

  /// Whether each of inside() is in the share: bool. All are but the last, which may be another
  /// row.
  const at::Tensor& counts() const { return counts_; }

  /// The results of all rows, in the order of `places`, from those of inside() and of outside().
  at::Tensor together(const at::Tensor& inside, const at::Tensor& outside) const;

 private:
  std::int64_t common_ = 0;  // 1 when a row is evaluated in both parts, else 0
  at::Tensor inside_, outside_, first_inside_, first_outside_, counts_, order_;
};

}  // namespace cdm
