// SPDX-License-Identifier: MIT
#include "cdm/ops/flops.h"

#include <c10/util/Exception.h>

namespace cdm::ops {
namespace {

std::atomic<FlopCounter*> present = nullptr;

}  // namespace

FlopCounter::FlopCounter() {
  FlopCounter* none = nullptr;
  TORCH_CHECK(present.compare_exchange_strong(none, this), "two FlopCounters at a time");
}

FlopCounter::~FlopCounter() { present = nullptr; }

void FlopCounter::add(std::int64_t flop) {
  if (FlopCounter* const counter = present) counter->flop_ += flop;
}

}  // namespace cdm::ops
