// SPDX-License-Identifier: MIT
// A zip or tar archive of pictures with labels, as they are and resized. The mutator keeps a zip
// archive's checksums right.
#include "data/sources.h"
#include "fuzz.h"
#include "mend_checksums.h"

CDM_FUZZ_TARGET(archive)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFile file;
  file.write(cdm::fuzz::view(data, size));
  cdm::DataConfig config;
  for (const std::int64_t image_size : {0, 5}) {
    config.image_size = image_size;
    config.channels = image_size == 0 ? 0 : 1;
    cdm::fuzz::attempt([&] { cdm::read_image_archive(config, file.path()); });
  }
  return 0;
}

CDM_FUZZ_MUTATOR(cdm::fuzz::mend_zip)
