// SPDX-License-Identifier: MIT
// Compares the value, gradient, and gradient of the gradient of an operation, for every argument,
// with its plain version and with finite differences. The latter find errors that both versions
// have.
#pragma once

#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/device/cuda_kernels.h"
#include "cdm/device/device.h"
#include "cdm/device/precision.h"
#include "cdm/ops/cuda_kernels.h"
#include "cdm/ops/ops.h"
#include "support.h"

namespace cdm::test {

using at::Tensor;
using Tensors = std::vector<Tensor>;
using Op = std::function<Tensor(const Tensors& arguments)>;

inline Tensor dot(const Tensors& a, const Tensors& b) {
  Tensor sum = at::zeros_like(a[0].sum());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (b[i].defined()) sum = sum + (a[i] * b[i]).sum();
  }
  return sum;
}

inline Tensors numbers_like(const Tensors& tensors) {
  Tensors out;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    out.push_back(numbers(60 + i, tensors[i].sizes()).to(tensors[i].device()));
  }
  return out;
}

/// The gradient of `scalar` with respect to each input; zero for an input that it does not depend
/// on.
inline Tensors gradient(const Tensor& scalar, const Tensors& inputs, bool create_graph) {
  Tensors found = torch::autograd::grad({scalar}, inputs, {}, /*retain_graph=*/true, create_graph,
                                        /*allow_unused=*/true);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i].defined()) found[i] = at::zeros_like(inputs[i]);
  }
  return found;
}

/// A leaf of the graph with the layout of `x`.
inline Tensor leaf(const Tensor& x) { return x.detach().requires_grad_(true); }

struct Derivatives {
  Tensor value;
  Tensors first;   // the gradient of sum(value * grad_y) with respect to each argument
  Tensors second;  // the gradient of sum(v * first) with respect to each argument, then grad_y
};

inline Derivatives derivatives(const Op& op, const Tensors& arguments, const Tensor& grad_y,
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

/// The third derivative of `op` in random directions: its gradient with respect to each argument,
/// then grad_y. The result of `op` is squared, because nothing of third order is left of what is
/// linear in each argument.
inline Tensors third_gradient(const Op& op, const Tensors& arguments) {
  Tensors leaves;
  for (const Tensor& argument : arguments) leaves.push_back(leaf(argument));
  const Tensor gy = leaf(numbers(50, op(leaves).sizes()));
  leaves.push_back(gy);
  const Tensors first = gradient((op(leaves).square() * gy).sum(), leaves, true);
  const Tensors second = gradient(dot(first, numbers_like(first)), leaves, true);
  return gradient(dot(second, numbers_like(second)), leaves, false);
}

/// Errors are relative to the largest element, or to 1 if that is larger, because all may be zero.
inline void expect_near(const Tensor& actual, const Tensor& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (expected.numel() == 0) return;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  const double error = (actual.to(at::kDouble) - expected).abs().max().item<double>();
  EXPECT_LE(error, tolerance * scale) << what;
}

inline void expect_near(const Tensors& actual, const Tensors& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(actual[i], expected[i], tolerance, concat(what, " ", i));
  }
}

inline void expect_same(const Derivatives& actual, const Derivatives& expected, double tolerance) {
  expect_near(actual.value, expected.value, tolerance, "value");
  expect_near(actual.first, expected.first, tolerance, "gradient");
  expect_near(actual.second, expected.second, tolerance, "second gradient");
}

/// Compares first and second derivatives in random directions with central differences.
inline void expect_finite_differences(const Op& op, const Tensors& arguments, const Tensor& grad_y,
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

/// `x` in three layouts: as it is, channels_last, and as a part of a larger tensor.
inline Tensors layouts(const Tensor& x) {
  const Tensor padded = x.new_empty({x.size(0), x.size(1), x.size(2), x.size(3) + 3});
  Tensor part = padded.narrow(3, 1, x.size(3));
  part.copy_(x);
  return {x, x.contiguous(at::MemoryFormat::ChannelsLast), part};
}

/// Layouts that gradients may have: those of layouts(), transposed, and one number expanded to all
/// elements.
inline Tensors gradient_layouts(const Tensor& gy) {
  Tensors all = layouts(gy);
  all.push_back(gy.transpose(2, 3).contiguous().transpose(2, 3));
  if (gy.numel() > 0) all.push_back(gy.flatten()[0].expand(gy.sizes()));
  return all;
}

/// Compares an operation with its plain version: in every layout, with only one v defined, and in
/// float32.
inline void compare(const Op& op, const Op& twin, const Tensors& arguments) {
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

/// The same with one argument differentiated and the others constant, as weights are in sampling.
inline void compare_each_alone(const Op& op, const Op& twin, const Tensors& arguments) {
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

/// Tests that use the fused operations, whatever the process uses otherwise.
class Ops : public testing::Test {
 protected:
  void SetUp() override { ops::set_fused(true); }
  void TearDown() override { ops::set_fused(was_fused_); }

 private:
  bool was_fused_ = ops::fused();
};

/// Tests that need a GPU; skipped when there is none.
class OpsOnAGpu : public Ops {
 protected:
  void SetUp() override {
    if (!device_.is_cuda()) GTEST_SKIP() << "no CUDA device";
    Ops::SetUp();
    allow_tf32(false);
    use_own_cuda_kernels(true, device_);
    EXPECT_EQ(own_cuda_kernels(), CDM_HAS_CUDA_KERNELS);
  }
  void TearDown() override {
    use_own_cuda_kernels(false, device_);
    Ops::TearDown();
  }

  Tensors there(const Tensors& arguments) const {
    Tensors out;
    for (const Tensor& argument : arguments) out.push_back(argument.to(device_));
    return out;
  }

 private:
  at::Device device_ = resolve_device("auto");
};

}  // namespace cdm::test
