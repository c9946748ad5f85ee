// SPDX-License-Identifier: MIT
// An IDX file of images or labels, plain or gzip.
#include "data/sources.h"
#include "fuzz.h"

CDM_FUZZ_TARGET(idx)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFile file;
  file.write(cdm::fuzz::view(data, size));
  for (const std::size_t dimensions : {std::size_t{1}, std::size_t{3}}) {
    cdm::fuzz::attempt([&] { cdm::read_idx(file.path(), dimensions); });
  }
  return 0;
}
