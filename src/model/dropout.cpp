// SPDX-License-Identifier: MIT
#include "cdm/model/dropout.h"

#include "cdm/device/random_rows.h"

namespace cdm {

at::Tensor DropoutMasks::rows_of(std::uint64_t seed, std::int64_t first_row, at::Device device) {
  return random_rows(seed, Purpose::dropout, first_row, device);
}

}  // namespace cdm
