// SPDX-License-Identifier: MIT
#include "ops/group_norm/layout.h"

#include <algorithm>

namespace cdm::cuda {
namespace {

constexpr std::int64_t kSector = 32;          // bytes that the GPU's memory moves at a time
constexpr std::int64_t kSlab = 32 << 10;      // bytes of a slab: several blocks fit in an SM
constexpr std::int64_t kMostChannels = 64;    // of a block, if its groups are not wider
constexpr std::int64_t kLeastBlocks = 4;      // of an image, if sectors allow it
constexpr std::int64_t kChannelMultiple = 8;  // of the staged version
constexpr std::int64_t kFewestThreads = 64;
constexpr std::int64_t kMostThreads = 512;

std::int64_t power_of_two_from(std::int64_t count) {
  std::int64_t power = 1;
  while (power < count) power *= 2;
  return power;
}

/// Channels of a block of the staged version. They are the same in all passes, because they give
/// the dropout mask its order.
std::int64_t slab_channels(ops::NormShape shape, std::int64_t element) {
  const std::int64_t width = shape.channels / shape.groups;
  std::int64_t chosen = width;
  for (std::int64_t groups = 2; groups <= shape.groups; ++groups) {
    if (shape.groups % groups != 0) continue;
    const std::int64_t channels = groups * width;
    const bool must_grow = chosen * element < kSector || chosen % kChannelMultiple != 0;
    const bool may_grow = channels <= kMostChannels && channels * kLeastBlocks <= shape.channels &&
                          shape.pixels * channels * element <= kSlab;
    if (must_grow || may_grow) chosen = channels;
  }
  return chosen;
}

/// Channels of a block of the other version: about a warp's, or one group.
std::int64_t warp_channels(ops::NormShape shape) {
  const std::int64_t width = shape.channels / shape.groups;
  std::int64_t groups = std::max<std::int64_t>(kWarp / width, 1);
  while (shape.groups % groups != 0) --groups;
  return groups * width;
}

}  // namespace

NormLayout norm_layout(NormPass pass, std::int64_t batch, ops::NormShape shape, NormMemory memory) {
  const auto with = [&](bool staged, std::int64_t channels, std::int64_t most_threads) {
    const std::int64_t vector = staged ? norm_vector(pass) : 1;
    const std::int64_t lanes = power_of_two_from((channels + vector - 1) / vector);
    const std::int64_t useful = (lanes * shape.pixels + kWarp - 1) / kWarp * kWarp;
    const std::int64_t threads = std::max(std::clamp(useful, kFewestThreads, most_threads), lanes);
    NormLayout layout = {batch,
                         shape,
                         staged,
                         static_cast<int>(channels),
                         static_cast<int>(lanes),
                         static_cast<int>(threads)};
    const std::int64_t slab = shape.pixels * channels * memory.element;
    const std::int64_t sums =
        std::min(norm_sums(pass), kNormRound) * layout.arrays() + norm_sums(pass);
    const std::int64_t numbers = sums * lanes * vector + norm_group_numbers(pass) * layout.groups();
    layout.shared = (staged ? norm_tensors(pass) * slab : 0) + numbers * memory.sum;
    return layout;
  };
  const std::int64_t channels = slab_channels(shape, memory.element);
  NormLayout staged = with(true, channels, memory.threads);
  // A block that has an SM to itself gets more threads. For float64 they would lack registers.
  if (2 * staged.shared > memory.shared && pass == NormPass::double_backward &&
      memory.sum == sizeof(float)) {
    staged = with(true, channels, std::min(2 * memory.threads, kMostThreads));
  }
  // A thread copies 16 bytes of a pixel, and the threads are enough for a whole one.
  constexpr std::int64_t kCopied = 16;
  const bool fits = memory.aligned && channels % kChannelMultiple == 0 && staged.lanes <= kWarp &&
                    channels * memory.element <= kCopied * staged.threads &&
                    staged.shared <= memory.shared;
  return fits ? staged : with(false, warp_channels(shape), memory.threads);
}

}  // namespace cdm::cuda
