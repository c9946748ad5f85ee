// SPDX-License-Identifier: MIT
// The CUDA kernels of attention, block by block, on the host's threads.
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdint>
#include <vector>

#include "cdm/core/text.h"
#include "derivatives.h"
#include "host_block.h"
#include "ops/attention/block.h"
#include "ops/attention/rows.h"

namespace cdm {
namespace {

using at::Tensor;
using cuda::Bfloat16;
using cuda::RowLayout;
using cuda::SoftmaxSecond;
using cuda::Sum;
using test::data;
using test::HostBlock;
using test::kType;
using test::leaf;
using test::numbers;
using test::Tensors;

constexpr double kScale = 0.3;

/// Matrices [rows, columns].
struct Arguments {
  Tensor s, grad_p, a, g;
};

/// P; dS; dL/d(dP), dL/dS.
using Results = Tensors;
const char* const kNames[] = {"P", "dS", "dL/d(dP)", "dL/dS"};

/// The three kernels.
template <class T, bool kPacked>
Results by_blocks(const Arguments& arguments, int threads) {
  using S = Sum<T>;
  using Rows = cuda::RowBlock<T, kPacked, HostBlock<S>>;
  const auto typed = [](const Tensor& x) { return x.to(kType<T>).clone(); };
  const RowLayout layout = cuda::row_layout<T>(arguments.s.size(0), arguments.s.size(1), threads);
  const auto launch = [&](const auto& body) {
    test::launch_on_host<S>(layout.blocks(), layout.threads, 32,
                            [&](const HostBlock<S>& block) { body(Rows(block, layout)); });
  };
  const Tensor p = typed(arguments.s);
  launch([&](const Rows& rows) { rows.softmax(S(kScale), data<T>(p)); });
  const Tensor grad_p = typed(arguments.grad_p);
  const Tensor grad_s = at::empty_like(p);
  launch([&](const Rows& rows) {
    rows.gradient(S(kScale), data<T>(p), data<T>(grad_p), data<T>(grad_s));
  });
  // In place, as attention calls it.
  const Tensor a = typed(arguments.a);
  const Tensor g = typed(arguments.g);
  const SoftmaxSecond<T> second = {data<T>(p), data<T>(grad_s), data<T>(a),
                                   data<T>(g), data<T>(a),      data<T>(g)};
  launch([&](const Rows& rows) { rows.second(S(kScale), second); });
  return {p, grad_s, a, g};
}

/// ATen's operations that take the place of the kernels.
Results by_operations(const Arguments& arguments) {
  const auto matrix = [](const Tensor& x) { return x.unsqueeze(0).clone(); };
  const Tensor p = ops::softmax_rows(matrix(arguments.s), kScale);
  const Tensor grad_s = ops::softmax_rows_gradient(p, matrix(arguments.grad_p), kScale);
  const ops::SoftmaxSecondResult second =
      ops::softmax_rows_second(p, grad_s, matrix(arguments.a), matrix(arguments.g), kScale);
  return {p[0], grad_s[0], second.to_grad_p[0], second.to_s[0]};
}

/// The derivatives by autograd.
Results by_autograd(const Arguments& arguments) {
  const Tensor s = leaf(arguments.s);
  const Tensor grad_p = leaf(arguments.grad_p);
  const Tensor p = (s * kScale).softmax(1);
  const Tensor grad_s = kScale * p * (grad_p - (p * grad_p).sum(1, true));
  const Tensor L = (arguments.a * grad_s).sum() + (arguments.g * p).sum();
  const Tensors second = torch::autograd::grad({L}, {grad_p, s});
  return {p.detach(), grad_s.detach(), second[0], second[1]};
}

Arguments drawn(std::int64_t rows, std::int64_t columns) {
  const std::vector<std::int64_t> shape = {rows, columns};
  return {numbers(1, shape).mul(5.0), numbers(2, shape), numbers(3, shape), numbers(4, shape)};
}

void expect_near(const Results& actual, const Results& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    test::expect_near(actual[i], expected[i], tolerance, kNames[i]);
  }
}

struct Case {
  std::int64_t rows, columns;
};

// Rows of one lane, of a part of a warp, of a warp, of several warps, and of more than kThreads;
// numbers of rows that do not fill the last block.
const Case kCases[] = {{5, 1}, {9, 16}, {5, 49}, {3, 64}, {1, 132}};
constexpr int kThreads = 32;  // of a block; more only make the host's barriers slower

template <class Check>
void for_each_case(const Check& check) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(concat(c.rows, " rows of ", c.columns));
    const Arguments arguments = drawn(c.rows, c.columns);
    check(arguments, by_autograd(arguments));
  }
}

TEST(AttentionBlocks, EqualAutogradInFloat64) {
  for_each_case([](const Arguments& arguments, const Results& expected) {
    expect_near(by_blocks<double, false>(arguments, kThreads), expected, 1e-12);
    if (arguments.s.size(1) % 2 == 0) {
      expect_near(by_blocks<double, true>(arguments, kThreads), expected, 1e-12);
    }
  });
}

TEST(AttentionBlocks, AreCloseInFloat32) {
  for_each_case([](const Arguments& arguments, const Results& expected) {
    expect_near(by_blocks<float, false>(arguments, kThreads), expected, 1e-5);
    if (arguments.s.size(1) % 4 == 0) {
      expect_near(by_blocks<float, true>(arguments, kThreads), expected, 1e-5);
    }
  });
}

/// P and dS, which the later kernels read, are rounded; the other results once more.
TEST(AttentionBlocks, RoundToBfloat16AtTheEndsOnly) {
  for_each_case([](const Arguments& arguments, const Results&) {
    const auto rounded = [](const Tensor& x) { return x.to(at::kBFloat16).to(at::kDouble); };
    const Arguments exact = {rounded(arguments.s), rounded(arguments.grad_p), rounded(arguments.a),
                             rounded(arguments.g)};
    const Results expected = by_autograd(exact);
    expect_near(by_blocks<Bfloat16, false>(exact, kThreads), expected, 0.02);
    if (arguments.s.size(1) % 8 == 0) {
      expect_near(by_blocks<Bfloat16, true>(exact, kThreads), expected, 0.02);
    }
  });
}

TEST(AttentionBlocks, RowsMayHaveAllEqualOrFarApartNumbers) {
  for (const double spread : {0.0, 1e4}) {
    Arguments arguments = drawn(3, 40);
    arguments.s = arguments.s.mul(spread);
    expect_near(by_blocks<double, true>(arguments, kThreads), by_autograd(arguments), 1e-12);
  }
}

TEST(AttentionRows, EqualAutograd) {
  for_each_case([](const Arguments& arguments, const Results& expected) {
    expect_near(by_operations(arguments), expected, 1e-12);
  });
}

}  // namespace
}  // namespace cdm
