// SPDX-License-Identifier: MIT
// The main function of every test program; like our programs', it loads CUDA first.
#include <gtest/gtest.h>

#include "cdm/device/device.h"

int main(int argc, char** argv) {
  cdm::load_cuda_runtime();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
