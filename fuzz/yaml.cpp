// SPDX-License-Identifier: MIT
// A configuration file.
#include "cdm/config/config.h"
#include "fuzz.h"

CDM_FUZZ_TARGET(yaml)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFile file;
  file.write(cdm::fuzz::view(data, size));
  cdm::fuzz::attempt([] { cdm::to_yaml(cdm::load_config(file.path())); });
  return 0;
}
