// SPDX-License-Identifier: MIT
// How the three passes of group normalisation are divided among blocks of threads of a GPU.
//
// A block has the channels of one or more whole groups of one image: a slab [HW, channels]. There
// are two versions of each pass. In the staged one, the slabs of all tensors that the pass reads
// are copied to the block's shared memory once, 16 bytes at a time, and a thread works on 8 or 4
// neighbouring channels. It needs slabs that fit, and channels in multiples of 8. The other one
// takes any shape: a thread works on one channel, and each sweep reads the tensors again.
#pragma once

#include <cstdint>

#include "ops/group_norm/arithmetic.h"

namespace cdm::cuda {

enum class NormPass { forward, backward, double_backward };

/// What a pass needs: tensors that it reads, sums per channel, and numbers per group that are
/// computed from them.
CDM_HOST_DEVICE constexpr int norm_tensors(NormPass pass) { return 1 + static_cast<int>(pass); }
CDM_HOST_DEVICE constexpr int norm_sums(NormPass pass) {
  return pass == NormPass::forward ? 1 : pass == NormPass::backward ? 3 : 11;
}
CDM_HOST_DEVICE constexpr int norm_group_numbers(NormPass pass) {
  return pass == NormPass::double_backward ? 7 : 2;
}
/// Channels per thread in the staged version. The second derivative keeps 11 sums of each.
CDM_HOST_DEVICE constexpr int norm_vector(NormPass pass) {
  return pass == NormPass::double_backward ? 4 : 8;
}

/// Sums that are added up over the warps of a block at a time.
constexpr int kNormRound = 4;
constexpr int kWarp = 32;

/// The most channels that a group may have.
constexpr std::int64_t kMaxGroupWidth = 512;

struct NormLayout {
  std::int64_t batch;
  ops::NormShape shape;
  bool staged;
  int channels;  // per block
  int lanes;     // threads side by side in a pixel: a power of two; some may have no channels
  int threads;   // per block: a multiple of kWarp and of lanes
  std::int64_t shared = 0;  // bytes of shared memory per block

  std::int64_t blocks() const { return batch * (shape.channels / channels); }
  /// Whole groups per block.
  CDM_HOST_DEVICE int groups() const {
    return static_cast<int>(channels * shape.groups / shape.channels);
  }
  /// Warps, or rows of threads where a row is wider than a warp: each adds up the channels' sums by
  /// itself at first.
  CDM_HOST_DEVICE int arrays() const { return threads / (lanes > kWarp ? lanes : kWarp); }
};

/// Size and place of what the layout depends on.
struct NormMemory {
  std::int64_t element, sum;   // bytes of an element and of a sum
  std::int64_t shared;         // the most shared memory that a block may have
  bool aligned = true;         // all tensors begin at a multiple of 16 bytes
  std::int64_t threads = 256;  // the most that a block should have
};

NormLayout norm_layout(NormPass pass, std::int64_t batch, ops::NormShape shape, NormMemory memory);

/// Bytes in which the staged forward pass keeps the dropout mask of a batch, one bit an element:
/// block after block; in a block, pixel after pixel.
inline std::int64_t norm_mask_bytes(const NormLayout& layout) {
  constexpr std::int64_t kBits = 8;
  return layout.batch * layout.shape.pixels * layout.shape.channels / kBits;
}

}  // namespace cdm::cuda
