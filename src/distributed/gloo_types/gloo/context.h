// SPDX-License-Identifier: MIT
// What torch's ProcessGroupGloo.hpp names of the library Gloo, whose headers its wheel leaves out.
// The header holds these types by pointer only, and libtorch_cpu has all of their code, so that
// their layout does not matter here; nothing of this project makes or reads one.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
