// SPDX-License-Identifier: MIT
// A file of the Python version of CIFAR-10 or CIFAR-100; the same bytes serve as the names of the
// classes.
#include "data/sources.h"
#include "fuzz.h"

CDM_FUZZ_TARGET(cifar_python)(const std::uint8_t* data, std::size_t size) {
  static const cdm::fuzz::MemoryFolder folder({"test_batch", "batches.meta", "test", "meta"});
  for (std::size_t i = 0; i < 4; ++i) folder[i].write(cdm::fuzz::view(data, size));
  cdm::fuzz::attempt([] { cdm::read_cifar10(folder.path(), cdm::Split::test); });
  cdm::fuzz::attempt([] { cdm::read_cifar100(folder.path(), cdm::Split::test); });
  return 0;
}
