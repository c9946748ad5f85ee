// SPDX-License-Identifier: MIT
// A mutator for formats with checksums. Nearly every change of such a file would end at its first
// checksum; these are set right afterwards, half of the time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cdm::fuzz {

using Mend = void (*)(std::uint8_t* data, std::size_t size);

/// Sets the CRC of each whole chunk of a PNG; leaves other files alone.
void mend_png(std::uint8_t* data, std::size_t size);

/// Sets the CRC of each stored member in a zip archive's directory.
void mend_zip(std::uint8_t* data, std::size_t size);

}  // namespace cdm::fuzz

#ifdef CDM_LIBFUZZER
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

#define CDM_FUZZ_MUTATOR(mend)                                                         \
  extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, \
                                                 std::size_t most, unsigned seed) {    \
    const std::size_t changed = LLVMFuzzerMutate(data, size, most);                    \
    if (seed % 2 == 0) mend(data, changed);                                            \
    return changed;                                                                    \
  }
#else
#define CDM_FUZZ_MUTATOR(mend)
#endif
