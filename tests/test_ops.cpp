// SPDX-License-Identifier: MIT
// Each op against a plain twin: value, gradient, and gradient of the gradient, for every argument.
// Finite differences keep op and twin from being wrong together.
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cdm/cuda_kernels.h"
#include "cdm/device.h"
#include "cdm/ops/ops.h"
#include "cdm/precision.h"
#include "cdm/text.h"
#include "support.h"

namespace cdm {
namespace {

using at::Tensor;
using test::numbers;
using Tensors = std::vector<Tensor>;
using Op = std::function<Tensor(const Tensors& arguments)>;

Tensor dot(const Tensors& a, const Tensors& b) {
  Tensor sum = at::zeros_like(a[0].sum());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (b[i].defined()) sum = sum + (a[i] * b[i]).sum();
  }
  return sum;
}

Tensors numbers_like(const Tensors& tensors) {
  Tensors out;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    out.push_back(numbers(60 + i, tensors[i].sizes()).to(tensors[i].device()));
  }
  return out;
}

/// The gradient of `scalar` by each input, zero where it does not depend on it.
Tensors gradient(const Tensor& scalar, const Tensors& inputs, bool create_graph) {
  Tensors found = torch::autograd::grad({scalar}, inputs, {}, /*retain_graph=*/true, create_graph,
                                        /*allow_unused=*/true);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i].defined()) found[i] = at::zeros_like(inputs[i]);
  }
  return found;
}

/// A leaf of the graph with the layout of `x`.
Tensor leaf(const Tensor& x) { return x.detach().requires_grad_(true); }

struct Derivatives {
  Tensor value;
  Tensors first;   // of sum(value * grad_y), by each argument
  Tensors second;  // of sum(v * first), by each argument and by grad_y
};

Derivatives derivatives(const Op& op, const Tensors& arguments, const Tensor& grad_y,
                        const Tensors& v, bool third_wanted = false) {
  Tensors leaves;
  for (const Tensor& argument : arguments) leaves.push_back(leaf(argument));
  const Tensor gy = leaf(grad_y);
  Derivatives d;
  d.value = op(leaves);
  d.first = gradient((d.value * gy).sum(), leaves, true);
  Tensors all = leaves;
  all.push_back(gy);
  d.second = gradient(dot(d.first, v), all, third_wanted);
  return d;
}

/// Errors are relative to the largest element, or to 1 where all are smaller: some are zero.
void expect_near(const Tensor& actual, const Tensor& expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (expected.numel() == 0) return;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  const double error = (actual.to(at::kDouble) - expected).abs().max().item<double>();
  EXPECT_LE(error, tolerance * scale) << what;
}

void expect_near(const Tensors& actual, const Tensors& expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(actual[i], expected[i], tolerance, concat(what, " ", i));
  }
}

void expect_same(const Derivatives& actual, const Derivatives& expected, double tolerance) {
  expect_near(actual.value, expected.value, tolerance, "value");
  expect_near(actual.first, expected.first, tolerance, "gradient");
  expect_near(actual.second, expected.second, tolerance, "second gradient");
}

/// First and second derivatives in random directions against central differences.
void expect_finite_differences(const Op& op, const Tensors& arguments, const Tensor& grad_y,
                               const Tensors& v) {
  const Derivatives d = derivatives(op, arguments, grad_y, v);
  const auto check = [&](const Tensor& gradient, const std::function<double(const Tensor&)>& f,
                         const Tensor& at, const std::string& what) {
    const Tensor direction = numbers(77, at.sizes());
    const double expected = (gradient * direction).sum().item<double>();
    EXPECT_NEAR(test::directional_difference(f, at, direction), expected,
                1e-7 * std::max(1.0, std::abs(expected)))
        << what;
  };
  for (std::size_t i = 0; i <= arguments.size(); ++i) {
    const auto moved = [&](const Tensor& x) {
      Tensors changed = arguments;
      if (i < arguments.size()) changed[i] = x;
      return changed;
    };
    const auto gy = [&](const Tensor& x) { return i < arguments.size() ? grad_y : x; };
    const Tensor& at = i < arguments.size() ? arguments[i] : grad_y;
    if (i < arguments.size()) {
      check(
          d.first[i], [&](const Tensor& x) { return (op(moved(x)) * grad_y).sum().item<double>(); },
          at, concat("gradient ", i));
    }
    check(
        d.second[i],
        [&](const Tensor& x) {
          return dot(derivatives(op, moved(x), gy(x), v).first, v).item<double>();
        },
        at, concat("second gradient ", i));
  }
}

/// `x` itself; its values with channels side by side; and as a part of something larger.
Tensors layouts(const Tensor& x) {
  const Tensor padded = x.new_empty({x.size(0), x.size(1), x.size(2), x.size(3) + 3});
  Tensor part = padded.narrow(3, 1, x.size(3));
  part.copy_(x);
  return {x, x.contiguous(at::MemoryFormat::ChannelsLast), part};
}

/// Gradients as they come: as `layouts`, transposed, and one number for all.
Tensors gradient_layouts(const Tensor& gy) {
  Tensors all = layouts(gy);
  all.push_back(gy.transpose(2, 3).contiguous().transpose(2, 3));
  if (gy.numel() > 0) all.push_back(gy.flatten()[0].expand(gy.sizes()));
  return all;
}

/// Op and twin in every layout; with some of the v undefined; and in float32.
void compare(const Op& op, const Op& twin, const Tensors& arguments) {
  const Tensor y = twin(arguments);
  const Tensor grad_y = numbers(50, y.sizes()).to(y.device());
  const Tensors v = numbers_like(arguments);
  for (const Tensor& x : layouts(arguments[0])) {
    for (const Tensor& gy : gradient_layouts(grad_y)) {
      SCOPED_TRACE(concat("strides of x ", x.strides(), ", of the gradient ", gy.strides()));
      Tensors changed = arguments;
      changed[0] = x;
      expect_same(derivatives(op, changed, gy, v), derivatives(twin, changed, gy, v), 1e-11);
    }
  }
  for (std::size_t only = 0; only < arguments.size(); ++only) {
    SCOPED_TRACE(concat("v of argument ", only, " only"));
    Tensors one(arguments.size());
    one[only] = v[only];
    expect_same(derivatives(op, arguments, grad_y, one), derivatives(twin, arguments, grad_y, one),
                1e-11);
  }
  const auto to_float = [](const Tensors& tensors) {
    Tensors out;
    for (const Tensor& tensor : tensors) out.push_back(tensor.to(at::kFloat));
    return out;
  };
  SCOPED_TRACE("float32");
  expect_same(derivatives(op, to_float(arguments), grad_y.to(at::kFloat), to_float(v)),
              derivatives(twin, arguments, grad_y, v), 2e-4);
}

/// One argument differentiated at a time, as in sampling, where weights are constants.
void compare_each_alone(const Op& op, const Op& twin, const Tensors& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    SCOPED_TRACE(concat("argument ", i, " alone"));
    const auto with_constants = [&](const Op& f) {
      return [&, f](const Tensors& x) {
        Tensors all = arguments;
        all[i] = x[0];
        return f(all);
      };
    };
    const at::Device device = arguments[i].device();
    const Tensor grad_y = numbers(51, op(arguments).sizes()).to(device);
    const Tensors v = {numbers(52, arguments[i].sizes()).to(device)};
    expect_same(derivatives(with_constants(op), {arguments[i]}, grad_y, v),
                derivatives(with_constants(twin), {arguments[i]}, grad_y, v), 1e-11);
  }
}

class Ops : public testing::Test {
 protected:
  void SetUp() override { ops::set_fused(true); }
  void TearDown() override { ops::set_fused(was_fused_); }

 private:
  bool was_fused_ = ops::fused();
};

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
    const auto third = [&](const Op& op) {
      Tensors leaves;
      for (const Tensor& argument : c.arguments()) leaves.push_back(leaf(argument));
      const Tensor gy = leaf(numbers(50, op(leaves).sizes()));
      leaves.push_back(gy);
      // The op is linear in each argument: without the square, nothing of third order is left.
      const Tensors first = gradient((op(leaves).square() * gy).sum(), leaves, true);
      const Tensors second = gradient(dot(first, numbers_like(first)), leaves, true);
      return gradient(dot(second, numbers_like(second)), leaves, false);
    };
    expect_near(third(c.op()), third(c.twin()), 1e-11, "third gradient");
  }
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
    {2, 32, 2, 1, 32}, {1, 7, 3, 3, 7}, {0, 8, 5, 7, 4},
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

TEST_F(Ops, GroupNormAgreesWithFiniteDifferences) {
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    const Tensors arguments = c.arguments();
    const Tensor grad_y = numbers(50, arguments[0].sizes());
    expect_finite_differences(c.silu_op(), arguments, grad_y, numbers_like(arguments));
    expect_finite_differences(c.norm_op(), arguments, grad_y, numbers_like(arguments));
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
}

/// softmax_j(q_i . k_j / sqrt(C)) v_j, written without matrix products.
Tensor attention_formula(const Tensors& a) {
  const Tensor q = a[0].flatten(2);
  const Tensor k = a[1].flatten(2);
  const Tensor v = a[2].flatten(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(1)));
  const Tensor products = (q.unsqueeze(3) * k.unsqueeze(2)).sum(1) * scale;  // [B, i, j]
  const Tensor exponentials = products.exp();
  const Tensor weights = exponentials / exponentials.sum(2, true);
  return (weights.unsqueeze(1) * v.unsqueeze(2)).sum(3).view(a[0].sizes());
}

TEST_F(Ops, AttentionEqualsItsFormula) {
  const Op op = [](const Tensors& a) { return ops::attention(a[0], a[1], a[2]); };
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{1, 3, 5, 7}, {3, 48, 2, 3}, {2, 1, 1, 1}, {0, 4, 2, 2}}) {
    SCOPED_TRACE(at::IntArrayRef(shape));
    const Tensors arguments = {numbers(1, shape), numbers(2, shape), numbers(3, shape)};
    compare(op, attention_formula, arguments);
    compare_each_alone(op, attention_formula, arguments);
    if (shape[0] > 0) {
      expect_finite_differences(op, arguments, numbers(50, shape), numbers_like(arguments));
    }
  }
}

TEST_F(Ops, EqualTheirTwinsOnAGpu) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda()) GTEST_SKIP() << "no CUDA device";
  allow_tf32(false);
  use_own_cuda_kernels(true, device);
  EXPECT_EQ(own_cuda_kernels(), CDM_HAS_CUDA_KERNELS);
  const auto there = [&](const Tensors& arguments) {
    Tensors out;
    for (const Tensor& argument : arguments) out.push_back(argument.to(device));
    return out;
  };
  for (const ConvCase& c : kConvCases) {
    SCOPED_TRACE(c.text());
    compare(c.op(), c.twin(), there(c.arguments()));
    compare_each_alone(c.op(), c.twin(), there(c.arguments()));
  }
  for (const NormCase& c : kNormCases) {
    SCOPED_TRACE(c.text());
    compare(c.silu_op(), c.silu_twin(), there(c.arguments()));
    compare_each_alone(c.silu_op(), c.silu_twin(), there(c.arguments()));
    compare(c.norm_op(), c.norm_twin(), there(c.arguments()));
  }
  use_own_cuda_kernels(false, device);
}

TEST_F(Ops, ReferenceModeUsesTheTwins) {
  ops::set_fused(false);
  const NormCase c = kNormCases[1];
  const Tensors arguments = c.arguments();
  const Derivatives d = derivatives(c.silu_op(), arguments, arguments[0], numbers_like(arguments),
                                    /*third_wanted=*/true);
  EXPECT_NO_THROW(d.second[0].sum().backward());  // which the fused version refuses
}

}  // namespace
}  // namespace cdm
