// SPDX-License-Identifier: MIT
// Convolution, concatenation and attention, each against its plain twin.
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/ops/ops.h"
#include "derivatives.h"
#include "ops/fused.h"

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

struct ConvCase {
  std::int64_t batch, in, out, height, width, kernel, stride, padding;

  Tensors arguments() const {
    return {numbers(1, {batch, in, height, width}), numbers(2, {out, in, kernel, kernel}),
            numbers(3, {out})};
  }
  Op op() const {
    return [*this](const Tensors& a) { return ops::conv2d(a[0], a[1], a[2], stride, padding); };
  }
  Op twin() const {
    return
        [*this](const Tensors& a) { return reference::conv2d(a[0], a[1], a[2], stride, padding); };
  }
  std::string text() const {
    return concat("batch ", batch, ", ", in, " -> ", out, " channels, ", height, "x", width,
                  " pixels, kernel ", kernel, ", stride ", stride, ", padding ", padding);
  }
};

const ConvCase kConvCases[] = {
    {1, 3, 5, 5, 7, 3, 1, 1},  {3, 4, 3, 7, 5, 3, 2, 0},
    {2, 3, 4, 8, 6, 3, 2, 0},  // the last row and column are never read
    {2, 48, 3, 5, 7, 1, 1, 0}, {1, 1, 1, 3, 3, 3, 1, 0},
    {0, 3, 4, 5, 7, 3, 1, 1},
};

TEST_F(Ops, Conv2dEqualsItsTwin) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(c.text());
    compare(c.op(), c.twin(), c.arguments());
    compare_each_alone(c.op(), c.twin(), c.arguments());
  }
}

TEST_F(Ops, Conv2dNeedsNoBias) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(c.text());
    const Op op = [&](const Tensors& a) {
      return ops::conv2d(a[0], a[1], {}, c.stride, c.padding);
    };
    const Op twin = [&](const Tensors& a) {
      return reference::conv2d(a[0], a[1], {}, c.stride, c.padding);
    };
    const Tensors arguments = {c.arguments()[0], c.arguments()[1]};
    compare(op, twin, arguments);
    compare_each_alone(op, twin, arguments);
  }
}

/// As convolutions with a kernel of one pixel are computed on a GPU.
TEST_F(Ops, Conv2dAsAProductEqualsItsTwin) {
  for (const ConvCase& c :
       {ConvCase{2, 48, 3, 5, 7, 1, 1, 0}, {1, 1, 1, 2, 1, 1, 1, 0}, {0, 3, 4, 5, 7, 1, 1, 0}}) {
    SCOPED_TRACE(c.text());
    const Op with_bias = [](const Tensors& a) { return ops::pixel_product(a[0], a[1], a[2]); };
    const Op without = [](const Tensors& a) { return ops::pixel_product(a[0], a[1], {}); };
    const Op twin_without = [](const Tensors& a) {
      return reference::conv2d(a[0], a[1], {}, 1, 0);
    };
    const Tensors arguments = c.arguments();
    compare(with_bias, c.twin(), arguments);
    compare_each_alone(with_bias, c.twin(), arguments);
    compare(without, twin_without, {arguments[0], arguments[1]});
  }
}

TEST_F(Ops, Conv2dAgreesWithFiniteDifferences) {
  for (const ConvCase& c : {kConvCases[0], kConvCases[1], kConvCases[2]}) {
    SCOPED_TRACE(c.text());
    const Tensors arguments = c.arguments();
    const Tensor grad_y = numbers(50, c.twin()(arguments).sizes());
    expect_finite_differences(c.op(), arguments, grad_y, numbers_like(arguments));
  }
}

TEST_F(Ops, Conv2dHasAThirdDerivative) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(c.text());
    expect_near(third_gradient(c.op(), c.arguments()), third_gradient(c.twin(), c.arguments()),
                1e-11, "third gradient");
  }
}

TEST_F(Ops, PadAfterEqualsItsTwin) {
  // What is linear has further derivatives once it is squared.
  const Op op = [](const Tensors& a) { return ops::pad_after(a[0]).square(); };
  const Op twin = [](const Tensors& a) { return reference::pad_after(a[0]).square(); };
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{2, 3, 4, 6}, {1, 2, 1, 1}, {0, 2, 4, 4}}) {
    const Tensors arguments = {numbers(1, shape)};
    compare(op, twin, arguments);
    expect_near(third_gradient(op, arguments), third_gradient(twin, arguments), 1e-11, "third");
  }
}

TEST_F(Ops, TheGradientOfPadAfterIsAView) {
  const Tensor x = leaf(numbers(1, {2, 3, 4, 6}));
  const Tensor gy = numbers(2, {2, 3, 5, 7});
  const Tensor to_x = torch::autograd::grad({ops::pad_after(x)}, {x}, {gy})[0];
  EXPECT_TRUE(to_x.is_alias_of(gy));
}

TEST_F(Ops, ConcatChannelsEqualsItsTwin) {
  const Op op = [](const Tensors& a) { return ops::concat_channels(a[0], a[1]); };
  const Op twin = [](const Tensors& a) { return reference::concat_channels(a[0], a[1]); };
  for (const auto& [batch, first, second] :
       {std::array{2, 3, 5}, {1, 1, 1}, {3, 4, 1}, {0, 2, 3}}) {
    SCOPED_TRACE(concat("batch ", batch, ", ", first, " + ", second, " channels"));
    const Tensors arguments = {numbers(1, {batch, first, 5, 7}), numbers(2, {batch, second, 5, 7})};
    compare(op, twin, arguments);
    compare_each_alone(op, twin, arguments);
    // What is linear has a second derivative once it is squared.
    const auto squared = [](const Op& of) {
      return Op([of](const Tensors& a) { return of(a).square(); });
    };
    compare(squared(op), squared(twin), arguments);
  }
}

TEST_F(Ops, GradientsOfConcatChannelsHaveChannelsSideBySide) {
  const Tensors parts = {leaf(numbers(1, {2, 3, 5, 7})), leaf(numbers(2, {2, 4, 5, 7}))};
  const Tensor whole = ops::concat_channels(parts[0], parts[1]);
  for (const Tensor& part : gradient(whole.square().sum(), parts, false)) {
    EXPECT_TRUE(part.is_contiguous(at::MemoryFormat::ChannelsLast)) << part.strides();
  }
}

TEST_F(Ops, ResidualSumEqualsItsTwin) {
  // The op is linear: only with the square does its gradient depend on its arguments.
  const Op op = [](const Tensors& a) { return ops::residual_sum(a[0], a[1], a[2]).square(); };
  const Op twin = [](const Tensors& a) {
    return reference::residual_sum(a[0], a[1], a[2]).square();
  };
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{2, 3, 5, 7}, {3, 16, 2, 3}, {1, 1, 1, 1}, {0, 4, 2, 2}}) {
    SCOPED_TRACE(at::IntArrayRef(shape));
    const Tensors arguments = {numbers(1, shape), numbers(2, shape), numbers(3, {shape[1]})};
    compare(op, twin, arguments);
    compare_each_alone(op, twin, arguments);
    if (shape[0] > 0) {
      expect_finite_differences(op, arguments, numbers(50, shape), numbers_like(arguments));
    }
  }
}

TEST_F(Ops, ResidualSumTakesTwoBiases) {
  const Op op = [](const Tensors& a) { return ops::residual_sum(a[0], a[1], a[2], a[3]).square(); };
  const Op twin = [](const Tensors& a) {
    return reference::residual_sum(a[0], a[1], a[2], a[3]).square();
  };
  const Tensors arguments = {numbers(1, {2, 3, 5, 7}), numbers(2, {2, 3, 5, 7}), numbers(3, {3}),
                             numbers(4, {3})};
  compare(op, twin, arguments);
  compare_each_alone(op, twin, arguments);
  expect_finite_differences(op, arguments, numbers(50, {2, 3, 5, 7}), numbers_like(arguments));
  // An optimizer may scale gradients in place.
  for (const Op& f : {op, twin}) {
    const Tensors biases = {leaf(arguments[2]), leaf(arguments[3])};
    const Tensors gradients =
        gradient(f({arguments[0], arguments[1], biases[0], biases[1]}).sum(), biases, false);
    EXPECT_NE(gradients[0].const_data_ptr(), gradients[1].const_data_ptr());
  }
}

TEST_F(Ops, ResidualSumTakesABiasOfAnyType) {
  const Tensor a = numbers(1, {2, 3, 4, 5});
  const Tensor b = numbers(2, {2, 3, 4, 5});
  const Tensor bias = numbers(3, {3}).to(at::kFloat);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    SCOPED_TRACE(type);
    const Tensor leaf_bias = leaf(bias);
    const Tensor sum = ops::residual_sum(a.to(type), b.to(type), leaf_bias);
    EXPECT_EQ(sum.scalar_type(), type);
    const double tolerance = type == at::kBFloat16 ? 0.05 : 1e-5;
    expect_near(sum, a + b + bias.to(at::kDouble).view({3, 1, 1}), tolerance, "value");
    const Tensor gradient_of_bias = gradient(sum.sum(), {leaf_bias}, false)[0];
    EXPECT_EQ(gradient_of_bias.scalar_type(), at::kFloat);
    expect_near(gradient_of_bias, at::full({3}, 40.0, at::kDouble), 1e-5, "gradient");
  }
}

/// softmax_j(q_i . k_j / sqrt(C)) v_j, written without matrix products.
Tensor attention_formula(const Tensors& a) {
  const Tensors parts = a[0].chunk(3, 1);
  const Tensor q = parts[0].flatten(2);
  const Tensor k = parts[1].flatten(2);
  const Tensor v = parts[2].flatten(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(1)));
  const Tensor products = (q.unsqueeze(3) * k.unsqueeze(2)).sum(1) * scale;  // [B, i, j]
  const Tensor exponentials = products.exp();
  const Tensor weights = exponentials / exponentials.sum(2, true);
  return (weights.unsqueeze(1) * v.unsqueeze(2)).sum(3).view(parts[0].sizes());
}

TEST_F(Ops, AttentionEqualsItsFormula) {
  const Op op = [](const Tensors& a) { return ops::attention(a[0]); };
  const Op twin = [](const Tensors& a) { return reference::attention(a[0]); };
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{1, 9, 5, 7}, {3, 144, 2, 3}, {2, 3, 1, 1}, {0, 12, 2, 2}}) {
    SCOPED_TRACE(at::IntArrayRef(shape));
    const Tensors arguments = {numbers(1, shape)};
    compare(op, attention_formula, arguments);
    compare(twin, attention_formula, arguments);
    if (shape[0] > 0) {
      const Tensor grad_y = numbers(50, twin(arguments).sizes());
      expect_finite_differences(op, arguments, grad_y, numbers_like(arguments));
    }
  }
}

TEST_F(Ops, AttentionLaysItsGradientsOutAsImages) {
  const Tensor x = leaf(numbers(1, {2, 12, 5, 7}).contiguous(at::MemoryFormat::ChannelsLast));
  const Tensor y = ops::attention(x);
  const Tensor gy = leaf(numbers(2, y.sizes()).contiguous(at::MemoryFormat::ChannelsLast));
  const Tensor first = gradient((y * gy).sum(), {x}, true)[0];
  const Tensors second = gradient(first.square().sum(), {gy, x}, false);
  for (const Tensor& tensor : {y, first, second[0], second[1]}) {
    EXPECT_TRUE(tensor.is_contiguous(at::MemoryFormat::ChannelsLast)) << tensor.strides();
  }
}

TEST_F(Ops, AttentionHasNoThirdDerivative) {
  const Tensor x = leaf(numbers(1, {1, 6, 2, 2}));
  const Tensor first = gradient(ops::attention(x).square().sum(), {x}, true)[0];
  const Tensor second = gradient(first.square().sum(), {x}, true)[0];
  EXPECT_THROW(gradient(second.sum(), {x}, false), c10::Error);
}

TEST_F(OpsOnAGpu, Conv2dEqualsItsTwin) {
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(c.text());
    compare(c.op(), c.twin(), there(c.arguments()));
    compare_each_alone(c.op(), c.twin(), there(c.arguments()));
  }
}

TEST_F(OpsOnAGpu, OperationsWithKernelsEqualTheirTwins) {
  // Numbers of channels that vectors of 16 bytes fit into, and that they do not.
  for (const std::int64_t channels : {3, 16}) {
    SCOPED_TRACE(concat(channels, " channels"));
    const std::vector<std::int64_t> shape = {2, channels, 5, 7};
    const Tensors sum = there({numbers(1, shape), numbers(2, shape), numbers(3, {channels})});
    compare([](const Tensors& a) { return ops::residual_sum(a[0], a[1], a[2]).square(); },
            [](const Tensors& a) { return reference::residual_sum(a[0], a[1], a[2]).square(); },
            sum);
    compare([](const Tensors& a) { return ops::concat_channels(a[0], a[1]).square(); },
            [](const Tensors& a) { return reference::concat_channels(a[0], a[1]).square(); },
            {sum[0], sum[1]});
    compare([](const Tensors& a) { return ops::attention(a[0]); },
            [](const Tensors& a) { return reference::attention(a[0]); },
            there({numbers(1, {2, 3 * channels, 4, 4})}));
  }
}

}  // namespace
}  // namespace cdm
