// SPDX-License-Identifier: MIT
// The arithmetic of random.h, shared by the CPU loop and the CUDA kernels.
#pragma once

#include <ATen/core/PhiloxRNGEngine.h>
#include <c10/macros/Macros.h>

#include <cmath>
#include <cstdint>

namespace cdm {

/// Where a row's numbers start: the Philox key, and the subsequence of the stream's first row.
struct PhiloxRow {
  std::uint64_t key;
  std::uint64_t subsequence;
};

constexpr int kNumbersPerBlock = 4;

enum class Distribution { normal, uniform };

/// Numbers 4*block .. 4*block+3 of a row.
C10_HOST_DEVICE inline void philox_block(const PhiloxRow& row, std::uint64_t block,
                                         Distribution distribution,
                                         float (&out)[kNumbersPerBlock]) {
  at::Philox4_32 engine(row.key, row.subsequence, block);
  for (int pair = 0; pair < kNumbersPerBlock; pair += 2) {
    const std::uint32_t a = engine();
    const std::uint32_t b = engine();
    if (distribution == Distribution::uniform) {
      out[pair] = static_cast<float>(a >> 8) * 0x1p-24F;
      out[pair + 1] = static_cast<float>(b >> 8) * 0x1p-24F;
    } else {  // Box and Muller; the radius takes a number in (0, 1], so its logarithm is finite.
      const float radius = ::sqrtf(-2.0F * ::logf((static_cast<float>(a >> 8) + 1.0F) * 0x1p-24F));
      const float angle = 6.283185307179586F * (static_cast<float>(b >> 8) * 0x1p-24F);
      out[pair] = radius * ::cosf(angle);
      out[pair + 1] = radius * ::sinf(angle);
    }
  }
}

}  // namespace cdm
