// SPDX-License-Identifier: MIT
// The main function of every test program; like our programs', it loads CUDA first.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cdm/device/device.h"

int main(int argc, char** argv) {
  cdm::load_cuda_runtime();
  // Some tests imitate the processes of a group by threads of one process. These threads share
  // LibTorch's record of collectives, which is not made for that: now and then it crashed.
  ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0);
  // One thread unless asked otherwise, here and in the programs that tests start: tests run side by
  // side, and compare numbers to the last bit.
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    ::setenv("OMP_NUM_THREADS", "1", /*overwrite=*/0);
    at::set_num_threads(1);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
