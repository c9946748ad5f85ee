// SPDX-License-Identifier: MIT
// What the NVIDIA driver says before LibTorch's CUDA part, over a gigabyte, is loaded: whether it
// can serve that part, and which GPUs there are. The driver is asked through libcuda.so.1 itself.
#pragma once

#include <string>
#include <vector>

namespace cdm {

struct NvidiaDriver {
  bool found = false;             // whether libcuda.so.1 can be loaded
  std::string missing;            // why no GPU can be used, and what would help; empty = one can
  std::vector<int> capabilities;  // of GPU 0, 1, ..., the compute capability as in "90" for 9.0
};

/// The compute capability as people write it: "9.0" for 90.
std::string capability_text(int capability);

/// Asks the driver. `missing` is set when there is none, when it does not start, when it is too old
/// for the CUDA runtime that LibTorch was built with, when it shows no GPU, and when all GPUs are
/// too old for LibTorch.
NvidiaDriver ask_nvidia_driver();

/// Why LibTorch cannot use a GPU of this compute capability; empty when it can.
std::string why_too_old(int capability);

}  // namespace cdm
