// SPDX-License-Identifier: MIT
// The types of the library Gloo that LibTorch's ProcessGroupGloo.hpp names. PyTorch's wheel lacks
// Gloo's headers. These declarations suffice: ProcessGroupGloo.hpp uses the types by pointer only,
// their code is in libtorch_cpu, and nothing here makes or reads an object of them.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
