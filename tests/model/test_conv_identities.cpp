// SPDX-License-Identifier: MIT
// Three convolutions that are computed with less arithmetic than their definition says: that of an
// image doubled in size, that whose mean over the pixels is wanted, and that whose inner product
// with an image is wanted.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/ops/flops.h"
#include "cdm/ops/ops.h"
#include "derivatives.h"

namespace cdm {
namespace {

using at::Tensor;
using test::compare;
using test::compare_each_alone;
using test::expect_finite_differences;
using test::expect_near;
using test::gradient;
using test::leaf;
using test::numbers;
using test::numbers_like;
using test::Op;
using test::Ops;
using test::OpsOnAGpu;
using test::Tensors;
using test::third_gradient;

const Op kUpsample = [](const Tensors& a) { return ops::upsample_conv2d(a[0], a[1], a[2]); };
const Op kUpsampleTwin = [](const Tensors& a) {
  return reference::upsample_conv2d(a[0], a[1], a[2]);
};
// compare() tries layouts of images.
Tensor as_image(const Tensor& means) { return means.unsqueeze(2).unsqueeze(3); }
const Op kMean = [](const Tensors& a) { return as_image(ops::mean_of_conv2d(a[0], a[1], a[2])); };
const Op kMeanTwin = [](const Tensors& a) {
  return as_image(reference::mean_of_conv2d(a[0], a[1], a[2]));
};

const Op kInner = [](const Tensors& a) {
  return as_image(ops::inner_product_of_conv2d(a[0], a[3], a[1], a[2]));
};
const Op kInnerTwin = [](const Tensors& a) {
  return as_image(reference::inner_product_of_conv2d(a[0], a[3], a[1], a[2]));
};

struct Case {
  std::int64_t batch, in, out, height, width;

  Tensors arguments() const {
    return {numbers(1, {batch, in, height, width}), numbers(2, {out, in, 3, 3}), numbers(3, {out})};
  }
  std::string text() const {
    return concat("batch ", batch, ", ", in, " -> ", out, " channels, ", height, "x", width,
                  " pixels");
  }
};

const Case kUpsampleCases[] = {{2, 3, 4, 5, 7},
                               {1, 4, 3, 9, 4},
                               {3, 1, 2, 4, 8},
                               {2, 3, 2, 2, 3},  // too small for the 4x4 kernel
                               {0, 3, 4, 5, 7}};
// Where there is a single row or column, it is the first and the last one.
const Case kMeanCases[] = {{2, 3, 4, 5, 7}, {1, 4, 3, 3, 2}, {3, 2, 5, 1, 4},
                           {2, 2, 1, 6, 1}, {2, 3, 4, 1, 1}, {0, 3, 4, 5, 7}};

TEST_F(Ops, UpsampleConv2dEqualsItsTwin) {
  for (const Case& c : kUpsampleCases) {
    SCOPED_TRACE(c.text());
    compare(kUpsample, kUpsampleTwin, c.arguments());
    compare_each_alone(kUpsample, kUpsampleTwin, c.arguments());
  }
}

TEST_F(Ops, MeanOfConv2dEqualsItsTwin) {
  for (const Case& c : kMeanCases) {
    SCOPED_TRACE(c.text());
    compare(kMean, kMeanTwin, c.arguments());
    compare_each_alone(kMean, kMeanTwin, c.arguments());
  }
}

/// The arguments, and an image of one or two channels.
Tensors with_image(const Case& c) {
  Tensors arguments = c.arguments();
  arguments.push_back(numbers(4, {c.batch, c.out % 2 == 0 ? 2 : 1, c.height, c.width}));
  return arguments;
}

TEST_F(Ops, InnerProductOfConv2dEqualsItsTwin) {
  for (const Case& c : kMeanCases) {
    SCOPED_TRACE(c.text());
    compare(kInner, kInnerTwin, with_image(c));
    compare_each_alone(kInner, kInnerTwin, with_image(c));
    expect_near(third_gradient(kInner, with_image(c)), third_gradient(kInnerTwin, with_image(c)),
                1e-11, "third gradient");
  }
}

/// A kernel with a single one in its middle copies the features, so that the inner product is
/// known.
TEST_F(Ops, InnerProductOfConv2dIsTheMeanOfProducts) {
  const Tensor h = numbers(1, {2, 2, 3, 4});
  const Tensor x = numbers(2, {2, 1, 3, 4});
  Tensor weight = at::zeros({1, 2, 3, 3}, at::kDouble);
  weight.select(1, 1).select(1, 1).select(1, 1).fill_(1.0);
  const Tensor bias = at::full({1}, 0.25, at::kDouble);
  const Tensor expected = ((h.narrow(1, 1, 1) + 0.25) * x).mean({1, 2, 3}).unsqueeze(1);
  expect_near(ops::inner_product_of_conv2d(h, x, weight, bias), expected, 1e-14, "inner product");
}

TEST_F(Ops, ConvIdentitiesAgreeWithFiniteDifferences) {
  for (const auto& [op, arguments] : {std::pair(kUpsample, kUpsampleCases[0].arguments()),
                                      {kMean, kMeanCases[0].arguments()},
                                      {kInner, with_image(kMeanCases[0])}}) {
    const Tensor grad_y = numbers(50, op(arguments).sizes());
    expect_finite_differences(op, arguments, grad_y, numbers_like(arguments));
  }
}

TEST_F(Ops, ConvIdentitiesHaveAThirdDerivative) {
  for (const Case& c : kUpsampleCases) {
    SCOPED_TRACE(c.text());
    expect_near(third_gradient(kUpsample, c.arguments()),
                third_gradient(kUpsampleTwin, c.arguments()), 1e-11, "third gradient");
  }
  for (const Case& c : kMeanCases) {
    SCOPED_TRACE(c.text());
    expect_near(third_gradient(kMean, c.arguments()), third_gradient(kMeanTwin, c.arguments()),
                1e-11, "third gradient");
  }
}

/// The arguments of an op as a network with precision bf16 has them, and the same numbers in
/// float64.
struct MixedPrecision {
  Tensors mixed, exact;

  explicit MixedPrecision(const Case& c) : mixed(c.arguments()) {
    mixed[0] = mixed[0].to(at::kBFloat16);
    for (std::size_t i = 1; i < mixed.size(); ++i) mixed[i] = mixed[i].to(at::kFloat);
    for (const Tensor& argument : mixed) exact.push_back(argument.to(at::kDouble));
  }
};

TEST_F(Ops, MeanOfConv2dSumsBfloat16InSinglePrecision) {
  const MixedPrecision a({2, 16, 8, 14, 14});
  const Tensor value = kMean(a.mixed);
  EXPECT_EQ(value.scalar_type(), at::kFloat);
  expect_near(value, kMeanTwin(a.exact), 1e-6, "value");
  const Tensor x = leaf(a.mixed[0]);
  const Tensor exact_x = leaf(a.exact[0]);
  const Tensor to_x = gradient(kMean({x, a.mixed[1], a.mixed[2]}).sum(), {x}, false)[0];
  EXPECT_EQ(to_x.scalar_type(), at::kBFloat16);
  const Tensor expected =
      gradient(kMeanTwin({exact_x, a.exact[1], a.exact[2]}).sum(), {exact_x}, false)[0];
  const double largest = expected.abs().max().item<double>();
  expect_near(to_x / largest, expected / largest, 1e-2, "gradient");
}

TEST_F(Ops, UpsampleConv2dRoundsToBfloat16LikeItsTwin) {
  const MixedPrecision a({2, 16, 8, 14, 14});
  const Tensor value = kUpsample(a.mixed);
  EXPECT_EQ(value.scalar_type(), at::kBFloat16);
  const Tensor expected = kUpsampleTwin(a.exact);
  const double largest = expected.abs().max().item<double>();
  expect_near(value / largest, expected / largest, 1e-2, "value");
  expect_near(kUpsampleTwin(a.mixed) / largest, expected / largest, 1e-2, "value of the twin");
}

TEST_F(Ops, ConvIdentitiesCountTheArithmeticOfTheirDefinition) {
  const Case c = {2, 3, 4, 5, 7};
  constexpr std::int64_t kTermsPerOutput = 3 * 9;
  const auto count = [&](const Op& op) {
    const ops::FlopCounter counter;
    op(c.arguments());
    return counter.flop();
  };
  for (const bool fused : {true, false}) {
    ops::set_fused(fused);
    EXPECT_EQ(count(kUpsample), 2 * (2 * 4 * 10 * 14) * kTermsPerOutput);
    EXPECT_EQ(count(kMean), 2 * (2 * 4 * 5 * 7) * kTermsPerOutput);
    const ops::FlopCounter counter;
    kInner(with_image(c));
    EXPECT_EQ(counter.flop(), 2 * (2 * 4 * 5 * 7) * kTermsPerOutput);
  }
}

TEST_F(Ops, ConvIdentitiesKeepChannelsSideBySide) {
  const auto channels_last = [](const Tensor& x) {
    return x.contiguous(at::MemoryFormat::ChannelsLast);
  };
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const Tensors a = {leaf(channels_last(numbers(1, {2, 16, 6, 8}, type))),
                       leaf(channels_last(numbers(2, {16, 16, 3, 3}, type))),
                       leaf(numbers(3, {16}, type))};
    for (const auto& [op, name] : {std::pair(kUpsample, "upsample"), {kMean, "mean"}}) {
      const Tensor y = op(a);
      EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast)) << name << y.strides();
      const Tensor to_x = gradient(y.square().sum(), {a[0]}, false)[0];
      EXPECT_TRUE(to_x.is_contiguous(at::MemoryFormat::ChannelsLast)) << name << to_x.strides();
    }
  }
}

TEST_F(Ops, ConvIdentitiesRefuseOtherKernels) {
  const Tensor x = numbers(1, {2, 3, 8, 8});
  const Tensor bias = numbers(3, {4});
  for (const Tensor& weight : {numbers(2, {4, 3, 5, 5}), numbers(2, {4, 2, 3, 3})}) {
    EXPECT_THROW(ops::upsample_conv2d(x, weight, bias), c10::Error);
    EXPECT_THROW(ops::mean_of_conv2d(x, weight, bias), c10::Error);
    EXPECT_THROW(ops::inner_product_of_conv2d(x, x, weight, bias), c10::Error);
  }
}

TEST_F(OpsOnAGpu, ConvIdentitiesEqualTheirTwins) {
  for (const Case& c : kUpsampleCases) {
    SCOPED_TRACE(c.text());
    compare(kUpsample, kUpsampleTwin, there(c.arguments()));
  }
  for (const Case& c : kMeanCases) {
    SCOPED_TRACE(c.text());
    compare(kMean, kMeanTwin, there(c.arguments()));
    compare(kInner, kInnerTwin, there(with_image(c)));
  }
}

TEST_F(OpsOnAGpu, MeanOfConv2dSumsBfloat16InSinglePrecision) {
  const MixedPrecision a({2, 16, 8, 14, 14});
  const Tensor value = kMean(there(a.mixed));
  EXPECT_EQ(value.scalar_type(), at::kFloat);
  expect_near(value, kMeanTwin(there(a.exact)), 1e-6, "value");
}

}  // namespace
}  // namespace cdm
