// SPDX-License-Identifier: MIT
// A .safetensors file.
#include "cdm/io/safetensors.h"

#include "fuzz.h"

CDM_FUZZ_TARGET(safetensors)(const std::uint8_t* data, std::size_t size) {
  cdm::fuzz::attempt([&] { cdm::parse_safetensors(cdm::fuzz::view(data, size), "input"); });
  return 0;
}
