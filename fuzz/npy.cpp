// SPDX-License-Identifier: MIT
// A .npy array.
#include "fuzz.h"
#include "io/npy_format.h"

CDM_FUZZ_TARGET(npy)(const std::uint8_t* data, std::size_t size) {
  cdm::fuzz::attempt([&] { cdm::parse_npy(cdm::fuzz::view(data, size), "input"); });
  return 0;
}
