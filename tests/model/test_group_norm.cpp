// SPDX-License-Identifier: MIT
// Group normalisation, alone or with SiLU, against its plain twin.
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cdm/core/text.h"
#include "cdm/device/random_rows.h"
#include "cdm/ops/ops.h"
#include "derivatives.h"

namespace cdm {
namespace {

using at::Tensor;
using test::compare;
using test::compare_each_alone;
using test::derivatives;
using test::Derivatives;
using test::expect_finite_differences;
using test::expect_same;
using test::numbers;
using test::numbers_like;
using test::Op;
using test::Ops;
using test::OpsOnAGpu;
using test::Tensors;

constexpr double kEps = 1e-6;

struct NormCase {
  std::int64_t batch, channels, height, width, groups;

  Tensors arguments() const {
    return {numbers(1, {batch, channels, height, width}).mul(2.0).add(0.5), numbers(2, {channels}),
            numbers(3, {channels})};
  }
  Op silu_op() const {
    return
        [*this](const Tensors& a) { return ops::group_norm_silu(a[0], a[1], a[2], groups, kEps); };
  }
  Op silu_twin() const {
    return [*this](const Tensors& a) {
      return reference::group_norm_silu(a[0], a[1], a[2], groups, kEps);
    };
  }
  /// With a shift, one for each image or for all, and dropout.
  Tensors with_shift(bool one) const {
    Tensors all = arguments();
    all.push_back(numbers(9, {one ? 1 : batch, channels}));
    return all;
  }
  ops::NormExtras extras(const Tensor& shift, double rate) const {
    return {shift, {rate, random_rows(3, Purpose::dropout, 7, shift.device()), 2}};
  }
  Op extra_op(double rate) const {
    return [*this, rate](const Tensors& a) {
      return ops::group_norm_silu(a[0], a[1], a[2], groups, kEps, extras(a[3], rate));
    };
  }
  Op extra_twin(double rate) const {
    return [*this, rate](const Tensors& a) {
      return reference::group_norm_silu(a[0], a[1], a[2], groups, kEps, extras(a[3], rate));
    };
  }
  Op norm_op() const {
    return [*this](const Tensors& a) { return ops::group_norm(a[0], a[1], a[2], groups, kEps); };
  }
  /// The formula.
  Op norm_twin() const {
    return [*this](const Tensors& a) {
      const Tensor x = a[0].reshape({batch, groups, channels / groups * height * width});
      const Tensor centred = x - x.mean(2, true);
      const Tensor xhat = centred / (centred.square().mean(2, true) + kEps).sqrt();
      return xhat.view_as(a[0].contiguous()) * a[1].view({1, -1, 1, 1}) + a[2].view({1, -1, 1, 1});
    };
  }
  std::string text() const {
    return concat("batch ", batch, ", ", channels, " channels in ", groups, " groups, ", height,
                  "x", width, " pixels");
  }
};

const NormCase kNormCases[] = {
    {1, 3, 5, 7, 1},   {3, 3, 5, 7, 3}, {2, 48, 5, 7, 16}, {1, 12, 1, 1, 4},
    {2, 32, 2, 1, 32}, {1, 7, 3, 3, 7}, {0, 8, 5, 7, 4},   {3, 64, 4, 4, 16},
};

TEST_F(Ops, GroupNormSiluEqualsItsTwin) {
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    compare(c.silu_op(), c.silu_twin(), c.arguments());
    compare_each_alone(c.silu_op(), c.silu_twin(), c.arguments());
  }
}

TEST_F(Ops, GroupNormEqualsItsFormula) {
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    compare(c.norm_op(), c.norm_twin(), c.arguments());
    compare_each_alone(c.norm_op(), c.norm_twin(), c.arguments());
  }
}

TEST_F(Ops, GroupNormSiluWithShiftAndDropoutEqualsItsTwin) {
  for (const NormCase& c : kNormCases) {
    for (const bool one : {false, true}) {
      for (const double rate : {0.0, 0.3}) {
        SCOPED_TRACE(concat(c.text(), ", rate ", rate, one ? ", one shift" : ""));
        compare(c.extra_op(rate), c.extra_twin(rate), c.with_shift(one));
        compare_each_alone(c.extra_op(rate), c.extra_twin(rate), c.with_shift(one));
      }
    }
  }
}

TEST_F(Ops, GroupNormSiluWithDropoutAloneEqualsItsTwin) {
  const NormCase c = kNormCases[2];
  const ops::Dropout dropout = {0.3, random_rows(3, Purpose::dropout, 7, at::kCPU), 2};
  compare(
      [&](const Tensors& a) {
        return ops::group_norm_silu(a[0], a[1], a[2], c.groups, kEps, {{}, dropout});
      },
      [&](const Tensors& a) {
        return reference::group_norm_silu(a[0], a[1], a[2], c.groups, kEps, {{}, dropout});
      },
      c.arguments());
}

/// The gradient by the images is half of what a training step computes; nobody asks there for the
/// sums over pixels and batch.
TEST_F(Ops, GroupNormComputesNoSumsThatAreNotWanted) {
  const NormCase c = kNormCases[2];
  Tensors leaves;
  for (const Tensor& argument : c.with_shift(true)) leaves.push_back(test::leaf(argument));
  const Tensor y = c.extra_op(0.3)(leaves);
  const auto sums = [&](const Tensors& inputs) {
    static std::int64_t count;
    count = 0;
    const auto handle =
        at::addThreadLocalCallback(at::RecordFunctionCallback([](const at::RecordFunction& call) {
                                     if (std::string(call.name()) == "aten::sum") ++count;
                                     return std::unique_ptr<at::ObserverContext>();
                                   }).scopes({at::RecordScope::FUNCTION}));
    torch::autograd::grad({y}, inputs, {numbers(50, y.sizes())}, /*retain_graph=*/true);
    at::removeCallback(handle);
    return count;
  };
  EXPECT_EQ(sums({leaves[0]}), 0);
  EXPECT_EQ(sums({leaves[0], leaves[1]}), 2);
  EXPECT_EQ(sums({leaves[3]}), 1);
}

TEST_F(Ops, GroupNormAgreesWithFiniteDifferences) {
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    const Tensors arguments = c.arguments();
    const Tensor grad_y = numbers(50, arguments[0].sizes());
    expect_finite_differences(c.silu_op(), arguments, grad_y, numbers_like(arguments));
    expect_finite_differences(c.norm_op(), arguments, grad_y, numbers_like(arguments));
    const Tensors all = c.with_shift(false);
    expect_finite_differences(c.extra_op(0.3), all, grad_y, numbers_like(all));
  }
}

TEST_F(Ops, GroupNormSiluTakesWeightsWithGaps) {
  const NormCase c = kNormCases[2];
  Tensors arguments = c.arguments();
  for (std::size_t i : {1, 2}) arguments[i] = numbers(4 + i, {c.channels, 2}).select(1, 1);
  compare(c.silu_op(), c.silu_twin(), arguments);
}

TEST_F(Ops, GroupNormSiluRefusesAThirdDerivative) {
  const NormCase c = kNormCases[1];
  const Tensors arguments = c.arguments();
  const Tensor grad_y = numbers(50, arguments[0].sizes());
  const Tensors v = numbers_like(arguments);
  // The second is legal even where a graph of it is kept.
  const Derivatives d = derivatives(c.silu_op(), arguments, grad_y, v, /*third_wanted=*/true);
  expect_same(d, derivatives(c.silu_twin(), arguments, grad_y, v), 1e-11);
  for (std::size_t i = 0; i < d.second.size(); ++i) {
    try {
      d.second[i].sum().backward();
      FAIL() << "the derivative of second gradient " << i << " was accepted";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("group_norm_silu has no third derivative"));
    }
  }
}

TEST_F(Ops, GroupNormSiluChecksItsArguments) {
  const Tensor x = numbers(1, {2, 6, 3, 3});
  const Tensor weight = numbers(2, {6});
  const auto call = [&](const Tensor& w, std::int64_t groups) {
    ops::group_norm_silu(x, w, weight, groups, kEps);
  };
  call(weight, 3);
  EXPECT_THROW(call(weight, 4), c10::Error);
  EXPECT_THROW(call(weight, 0), c10::Error);
  EXPECT_THROW(call(numbers(2, {5}), 3), c10::Error);
  EXPECT_THROW(call(weight.to(at::kFloat), 3), c10::Error);
  const auto with_shift = [&](const Tensor& shift) {
    ops::group_norm_silu(x, weight, weight, 3, kEps, {shift, {}});
  };
  with_shift(numbers(2, {1, 6}));
  EXPECT_THROW(with_shift(weight), c10::Error);
  EXPECT_THROW(with_shift(numbers(2, {3, 6})), c10::Error);
  EXPECT_THROW(with_shift(numbers(2, {2, 6}).to(at::kFloat)), c10::Error);
}

TEST_F(Ops, ReferenceModeUsesTheTwins) {
  ops::set_fused(false);
  const NormCase c = kNormCases[1];
  const Tensors arguments = c.arguments();
  const Derivatives d = derivatives(c.silu_op(), arguments, arguments[0], numbers_like(arguments),
                                    /*third_wanted=*/true);
  EXPECT_NO_THROW(d.second[0].sum().backward());  // which the fused version refuses
}

TEST_F(OpsOnAGpu, GroupNormEqualsItsTwin) {
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    compare(c.silu_op(), c.silu_twin(), there(c.arguments()));
    compare_each_alone(c.silu_op(), c.silu_twin(), there(c.arguments()));
    compare(c.norm_op(), c.norm_twin(), there(c.arguments()));
    for (const bool one : {false, true}) {
      compare(c.extra_op(0.3), c.extra_twin(0.3), there(c.with_shift(one)));
      compare_each_alone(c.extra_op(0.3), c.extra_twin(0.3), there(c.with_shift(one)));
    }
  }
}

}  // namespace
}  // namespace cdm
