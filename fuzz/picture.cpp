// SPDX-License-Identifier: MIT
// A picture of any format as the one entry of an image folder, as it is and resized. The mutator
// keeps a PNG's checksums right.
#include "data/sources.h"
#include "fuzz.h"
#include "mend_checksums.h"

CDM_FUZZ_TARGET(picture)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFolder folder({"a.png"});
  folder[0].write(cdm::fuzz::view(data, size));
  cdm::DataConfig config;
  config.test_path = folder.path();  // nothing is held out for a test split
  for (const std::int64_t image_size : {0, 5}) {
    config.image_size = image_size;
    config.channels = image_size == 0 ? 0 : 1;
    cdm::fuzz::attempt([&] { cdm::read_image_folder(config, folder.path(), cdm::Split::train); });
  }
  return 0;
}

CDM_FUZZ_MUTATOR(cdm::fuzz::mend_png)
