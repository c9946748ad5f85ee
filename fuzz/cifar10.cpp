// SPDX-License-Identifier: MIT
// A CIFAR-10 file in the binary version; what a whole number of records leaves over is the list of
// class names.
#include <filesystem>

#include "data/sources.h"
#include "fuzz.h"

CDM_FUZZ_TARGET(cifar10)(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kRecord = 3073;
  static const cdm::fuzz::MemoryFolder folder({"test_batch.bin", "batches.meta.txt"});
  const std::string_view bytes = cdm::fuzz::view(data, size);
  const std::size_t records = size / kRecord * kRecord;
  // A file of less than a record is given, too.
  folder[0].write(records == 0 ? bytes : bytes.substr(0, records));
  folder[1].write(bytes.substr(records));
  cdm::fuzz::attempt([] { cdm::read_cifar10(folder.path(), cdm::Split::test); });
  return 0;
}
