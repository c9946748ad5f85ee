// SPDX-License-Identifier: MIT
// A .pth file of PyTorch. The mutator keeps the archive's checksums right, so that changes reach
// what is inside it.
#include "cdm/io/torch_file.h"
#include "fuzz.h"
#include "mend_checksums.h"

CDM_FUZZ_TARGET(pth)(const std::uint8_t* data, std::size_t size) {
  cdm::fuzz::attempt([&] { cdm::parse_torch(std::string(cdm::fuzz::view(data, size)), "input"); });
  return 0;
}

CDM_FUZZ_MUTATOR(cdm::fuzz::mend_zip)
