// SPDX-License-Identifier: MIT
// Expects two checkpoints to be equal to the last bit: names, order, types and values.
#pragma once

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cstddef>

#include "cdm/core/tensors.h"
#include "cdm/run/checkpoint.h"

namespace cdm::test {

inline void expect_equal(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_EQ(a[i].second.scalar_type(), b[i].second.scalar_type()) << a[i].first;
    EXPECT_TRUE(at::equal(a[i].second, b[i].second)) << a[i].first;
  }
}

inline void expect_equal(const TrainingState& a, const TrainingState& b) {
  EXPECT_EQ(a.step, b.step);
  expect_equal(a.model, b.model);
  expect_equal(a.ema, b.ema);
  ASSERT_EQ(a.more_emas.size(), b.more_emas.size());
  for (std::size_t i = 0; i < a.more_emas.size(); ++i) expect_equal(a.more_emas[i], b.more_emas[i]);
  expect_equal(a.exp_avg, b.exp_avg);
  expect_equal(a.exp_avg_sq, b.exp_avg_sq);
}

}  // namespace cdm::test
