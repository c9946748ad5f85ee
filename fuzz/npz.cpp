// SPDX-License-Identifier: MIT
// An .npz archive, as arrays and as a data set. The mutator keeps the archive's checksums right.
#include "cdm/io/npz.h"

#include "data/sources.h"
#include "fuzz.h"
#include "mend_checksums.h"

CDM_FUZZ_TARGET(npz)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFile file;
  file.write(cdm::fuzz::view(data, size));
  cdm::fuzz::attempt([] {
    for (const std::string& name : cdm::npz_names(file.path())) {
      cdm::fuzz::attempt([&] { cdm::read_npz(file.path(), name); });
    }
  });
  cdm::fuzz::attempt([] { cdm::read_npz_images(file.path()); });
  return 0;
}

CDM_FUZZ_MUTATOR(cdm::fuzz::mend_zip)
