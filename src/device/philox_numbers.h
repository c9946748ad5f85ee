// SPDX-License-Identifier: MIT
// The arithmetic of random.h, shared by the CPU loop and the CUDA kernels. LibTorch has a Philox
// engine too, but including it in a .cu file pulls in much of c10, and compiler warnings with it.
#pragma once

#include <cmath>
#include <cstdint>

#include "device/host_device.h"

namespace cdm {

/// Identifies a row of a stream: the Philox key (from seed and purpose) and the subsequence (from
/// index and row).
struct PhiloxRow {
  std::uint64_t key;
  std::uint64_t subsequence;
};

/// Rows of a stream, one after the other.
struct PhiloxRows {
  PhiloxRow first;
  const std::int64_t* index = nullptr;  // if not null: the index of the stream, which `first` lacks

  CDM_HOST_DEVICE PhiloxRow row(std::int64_t i) const {
    std::uint64_t subsequence = first.subsequence + static_cast<std::uint64_t>(i);
    if (index != nullptr) subsequence += static_cast<std::uint64_t>(*index) << 32;
    return {first.key, subsequence};
  }
};

/// The output function of SplitMix64 (Steele et al., 2014): similar inputs give unrelated outputs.
CDM_HOST_DEVICE inline std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

/// The Philox key of (seed, purpose).
CDM_HOST_DEVICE inline std::uint64_t philox_key(std::uint64_t seed, std::uint64_t purpose) {
  return mixed(seed ^ mixed(purpose));
}

/// See derived_seed() in random.h; `row` is row 0 of the stream.
CDM_HOST_DEVICE inline std::uint64_t seed_of(const PhiloxRow& row) {
  return mixed(row.key ^ mixed(row.subsequence));
}

constexpr int kNumbersPerBlock = 4;  // Philox makes four 32-bit words at a time

constexpr int kPhiloxRounds = 10;
constexpr std::uint32_t kPhiloxMultiply0 = 0xD2511F53;
constexpr std::uint32_t kPhiloxMultiply1 = 0xCD9E8D57;
constexpr std::uint32_t kPhiloxBump0 = 0x9E3779B9;
constexpr std::uint32_t kPhiloxBump1 = 0xBB67AE85;
constexpr float kPhiloxUnit = 1.0F / (1 << 24);  // uniform numbers are multiples of it

enum class Distribution { normal, uniform };

/// Philox4x32-10 (Salmon et al., 2011) of the counter (block, subsequence).
CDM_HOST_DEVICE inline void philox_words(const PhiloxRow& row, std::uint64_t block,
                                         std::uint32_t (&words)[kNumbersPerBlock]) {
  auto key0 = static_cast<std::uint32_t>(row.key);
  auto key1 = static_cast<std::uint32_t>(row.key >> 32);
  words[0] = static_cast<std::uint32_t>(block);
  words[1] = static_cast<std::uint32_t>(block >> 32);
  words[2] = static_cast<std::uint32_t>(row.subsequence);
  words[3] = static_cast<std::uint32_t>(row.subsequence >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kPhiloxMultiply0} * words[0];
    const std::uint64_t product1 = std::uint64_t{kPhiloxMultiply1} * words[2];
    words[0] = static_cast<std::uint32_t>(product1 >> 32) ^ words[1] ^ key0;
    words[1] = static_cast<std::uint32_t>(product1);
    words[2] = static_cast<std::uint32_t>(product0 >> 32) ^ words[3] ^ key1;
    words[3] = static_cast<std::uint32_t>(product0);
    key0 += kPhiloxBump0;
    key1 += kPhiloxBump1;
  }
}

/// Numbers 4*block .. 4*block+3 of a row.
CDM_HOST_DEVICE inline void philox_block(const PhiloxRow& row, std::uint64_t block,
                                         Distribution distribution,
                                         float (&out)[kNumbersPerBlock]) {
  std::uint32_t words[kNumbersPerBlock];
  philox_words(row, block, words);
  for (int pair = 0; pair < kNumbersPerBlock; pair += 2) {
    const auto a = static_cast<float>(words[pair] >> 8);
    const auto b = static_cast<float>(words[pair + 1] >> 8);
    if (distribution == Distribution::uniform) {
      out[pair] = a * kPhiloxUnit;
      out[pair + 1] = b * kPhiloxUnit;
    } else {  // Box-Muller. The radius is made from a number in (0, 1], whose logarithm is finite.
      const float radius = ::sqrtf(-2.0F * ::logf((a + 1.0F) * kPhiloxUnit));
      const float angle = 6.283185307179586F * (b * kPhiloxUnit);
      out[pair] = radius * ::cosf(angle);
      out[pair + 1] = radius * ::sinf(angle);
    }
  }
}

/// A uniform integer in 0 .. bound-1, for `bound` in 1 .. 2^31.
CDM_HOST_DEVICE inline std::int64_t philox_integer(const PhiloxRow& row, std::int64_t bound) {
  std::uint32_t words[kNumbersPerBlock];
  philox_words(row, 0, words);
  // floor(r bound / 2^64) for the 64-bit random number r = words[0] 2^32 + words[1]; since bound is
  // below 2^32, no 128-bit product is needed.
  const auto factor = static_cast<std::uint64_t>(bound);
  return static_cast<std::int64_t>((words[0] * factor + ((words[1] * factor) >> 32)) >> 32);
}

}  // namespace cdm
