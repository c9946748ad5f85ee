// SPDX-License-Identifier: MIT
#include "cdm/ops/flops.h"

#include <c10/util/Exception.h>

namespace cdm::ops {
namespace {

thread_local std::int64_t* total = nullptr;

}  // namespace

FlopCounter::FlopCounter() {
  TORCH_CHECK(total == nullptr, "two FlopCounters in a thread");
  total = &flop_;
}

FlopCounter::~FlopCounter() { total = nullptr; }

void FlopCounter::add(std::int64_t flop) {
  if (total != nullptr) *total += flop;
}

}  // namespace cdm::ops
