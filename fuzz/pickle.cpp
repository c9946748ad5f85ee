// SPDX-License-Identifier: MIT
// A pickle: as that within a .pth file, without the archive around it, and as one of NumPy arrays.
#include "io/pickle.h"

#include <ATen/ops/zeros.h>

#include "fuzz.h"

CDM_FUZZ_TARGET(pickle)(const std::uint8_t* data, std::size_t size) {
  const auto storages = [](const std::string& /*key*/, at::ScalarType type, std::int64_t count) {
    if (count > 4096) throw cdm::UserError("input: lacks a storage");
    return at::zeros({count}, type);
  };
  cdm::fuzz::attempt([&] { cdm::parse_pickle(cdm::fuzz::view(data, size), storages, "input"); });
  cdm::fuzz::attempt([&] { cdm::parse_numpy_pickle(cdm::fuzz::view(data, size), "input"); });
  return 0;
}
