// SPDX-License-Identifier: MIT
// The CUDA kernels of group normalisation, block by block, on the host's threads.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/ops/ops.h"
#include "derivatives.h"
#include "ops/group_norm/block.h"

namespace cdm {
namespace {

using at::Tensor;
using cuda::Bfloat16;
using cuda::NormLayout;
using cuda::Sum;
using ops::NormShape;
using test::leaf;
using test::numbers;

constexpr double kEps = 1e-6;
constexpr int kThreads = 96;  // of a block; more only make the host's barriers slower

template <class S>
class HostBlock {
 public:
  HostBlock(std::int64_t index, int thread, std::barrier<>& barrier, std::vector<S>& shared)
      : index_(index), thread_(thread), barrier_(barrier), shared_(shared) {}

  std::int64_t index() const { return index_; }
  int thread() const { return thread_; }
  void sync() const { barrier_.arrive_and_wait(); }
  S* shared() const { return shared_.data(); }

 private:
  std::int64_t index_;
  int thread_;
  std::barrier<>& barrier_;
  std::vector<S>& shared_;
};

/// Runs body(block) in every thread of every block, one block after the other.
template <class S, class Body>
void launch(const NormLayout& layout, const Body& body) {
  std::vector<S> shared(static_cast<std::size_t>(cuda::kNormSums * layout.threads()));
  std::barrier<> barrier(layout.threads());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < layout.threads(); ++thread) {
    threads.emplace_back([&, thread] {
      for (std::int64_t index = 0; index < layout.blocks(); ++index) {
        body(HostBlock<S>(index, thread, barrier, shared));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Arguments {
  Tensor x, gamma, beta, grad_y, v, v_gamma, v_beta;
};

struct Results {
  std::vector<Tensor> tensors;  // y; grad_x, grad_gamma, grad_beta; to_grad_y, to_x, to_gamma, ...
};

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

template <class T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

/// The three kernels; sums over the batch are the caller's, as on a GPU.
template <class T, class Activation>
Results by_blocks(const Arguments& a, NormShape shape, at::ScalarType type) {
  using S = Sum<T>;
  using Block = cuda::NormBlock<T, HostBlock<S>>;
  const std::int64_t batch = a.x.size(0);
  const NormLayout layout = cuda::norm_layout(batch, shape, kThreads);
  const at::ScalarType sum_type = type == at::kDouble ? at::kDouble : at::kFloat;
  const auto typed = [&](const Tensor& x) { return x.to(type); };
  const auto image = [&] { return channels_last(at::empty(a.x.sizes(), type)); };
  const auto sums = [&](std::int64_t width) { return at::empty({batch, width}, sum_type); };

  const Tensor x = channels_last(typed(a.x));
  const Tensor gamma = typed(a.gamma);
  const Tensor beta = typed(a.beta);
  const Tensor mean = sums(shape.groups);
  const Tensor rstd = sums(shape.groups);
  const ops::NormInput<T, S> in = {data<T>(x), data<T>(gamma), data<T>(beta), data<S>(mean),
                                   data<S>(rstd)};
  const Tensor y = image();
  launch<S>(layout, [&](const HostBlock<S>& block) {
    Block(block, layout, in).template forward<Activation>(in, kEps, data<T>(y));
  });

  const Tensor grad_y = channels_last(typed(a.grad_y));
  const Tensor grad_x = image();
  const Tensor grad_gamma = sums(shape.channels);
  const Tensor grad_beta = sums(shape.channels);
  const ops::NormBackward<T, S> first = {data<T>(grad_y), data<T>(grad_x), data<S>(grad_gamma),
                                         data<S>(grad_beta)};
  launch<S>(layout, [&](const HostBlock<S>& block) {
    Block(block, layout, in).template backward<Activation>(in, first);
  });

  const Tensor v = channels_last(typed(a.v));
  const Tensor v_gamma = typed(a.v_gamma);
  const Tensor v_beta = typed(a.v_beta);
  const Tensor to_grad_y = image();
  const Tensor to_x = image();
  const Tensor to_gamma = sums(shape.channels);
  const Tensor to_beta = sums(shape.channels);
  const ops::NormDoubleBackward<T, S> second = {
      data<T>(grad_y),    data<T>(v),    data<T>(v_gamma),  data<T>(v_beta),
      data<T>(to_grad_y), data<T>(to_x), data<S>(to_gamma), data<S>(to_beta)};
  launch<S>(layout, [&](const HostBlock<S>& block) {
    Block(block, layout, in).template double_backward<Activation>(in, second);
  });
  return {{y, grad_x, grad_gamma.sum(0), grad_beta.sum(0), to_grad_y, to_x, to_gamma.sum(0),
           to_beta.sum(0)}};
}

Results by_twin(const Arguments& a, NormShape shape) {
  const Tensor x = leaf(a.x);
  const Tensor gamma = leaf(a.gamma);
  const Tensor beta = leaf(a.beta);
  const Tensor grad_y = leaf(a.grad_y);
  const Tensor y = shape.silu ? reference::group_norm_silu(x, gamma, beta, shape.groups, kEps)
                              : reference::group_norm(x, gamma, beta, shape.groups, kEps);
  const std::vector<Tensor> first =
      torch::autograd::grad({y}, {x, gamma, beta}, {grad_y}, true, /*create_graph=*/true);
  const std::vector<Tensor> second =
      torch::autograd::grad({first[0], first[1], first[2]}, {grad_y, x, gamma, beta},
                            {a.v, a.v_gamma, a.v_beta}, false, false, /*allow_unused=*/true);
  Results results = {{y.detach()}};
  for (const Tensor& gradient : first) results.tensors.push_back(gradient.detach());
  for (const Tensor& gradient : second) results.tensors.push_back(gradient);
  return results;
}

const char* const kNames[] = {"y",         "grad_x", "grad_gamma", "grad_beta",
                              "to_grad_y", "to_x",   "to_gamma",   "to_beta"};

void expect_near(const Results& actual, const Results& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    if (expected.tensors[i].defined()) {
      test::expect_near(actual.tensors[i], expected.tensors[i], tolerance, kNames[i]);
    } else {  // without SiLU, nothing depends on beta
      EXPECT_EQ(actual.tensors[i].abs().max().item<double>(), 0.0) << kNames[i];
    }
  }
}

struct Case {
  std::int64_t batch, channels, height, width, groups;
};

const Case kCases[] = {
    {2, 48, 5, 7, 16},  // several groups a block, more rows than some threads have pixels
    {1, 3, 2, 1, 1},    // more rows than pixels
    {3, 40, 3, 3, 1},   // a group wider than a warp
    {2, 74, 3, 5, 37},  // a number of groups that nothing divides
    {1, 600, 2, 2, 2},  // one row
};

Arguments arguments_of(const Case& c) {
  const std::vector<std::int64_t> image = {c.batch, c.channels, c.height, c.width};
  return {numbers(1, image).mul(2.0).add(0.5),
          numbers(2, {c.channels}),
          numbers(3, {c.channels}),
          numbers(4, image),
          numbers(5, image),
          numbers(6, {c.channels}),
          numbers(7, {c.channels})};
}

template <class Activation, class Check>
void for_each_case(bool silu, const Check& check) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(concat("batch ", c.batch, ", ", c.channels, " channels in ", c.groups, " groups, ",
                        c.height, "x", c.width, silu ? " pixels, SiLU" : " pixels"));
    check.template operator()<Activation>(
        arguments_of(c), NormShape{c.height * c.width, c.channels, c.groups, silu});
  }
}

template <class Check>
void for_each_case(const Check& check) {
  for_each_case<ops::Silu>(true, check);
  for_each_case<ops::Identity>(false, check);
}

TEST(GroupNormBlock, EqualsTheTwinInFloat64) {
  for_each_case([]<class Activation>(const Arguments& a, NormShape shape) {
    expect_near(by_blocks<double, Activation>(a, shape, at::kDouble), by_twin(a, shape), 1e-11);
  });
}

TEST(GroupNormBlock, IsCloseInFloat32) {
  for_each_case([]<class Activation>(const Arguments& a, NormShape shape) {
    expect_near(by_blocks<float, Activation>(a, shape, at::kFloat), by_twin(a, shape), 2e-4);
  });
}

/// Only what is read and written is rounded: sums and everything between are float32.
TEST(GroupNormBlock, RoundsToBfloat16AtTheEndsOnly) {
  for_each_case([]<class Activation>(const Arguments& a, NormShape shape) {
    const auto rounded = [](const Tensor& x) { return x.to(at::kBFloat16).to(at::kDouble); };
    const Arguments b = {rounded(a.x), rounded(a.gamma),   rounded(a.beta),  rounded(a.grad_y),
                         rounded(a.v), rounded(a.v_gamma), rounded(a.v_beta)};
    const Results actual = by_blocks<Bfloat16, Activation>(b, shape, at::kBFloat16);
    const Results expected = by_twin(b, shape);
    expect_near(actual, expected, 0x1p-8);  // half a unit of an 8-bit significand
    for (std::size_t i : {2, 3, 6, 7}) {    // sums over pixels
      if (!expected.tensors[i].defined()) continue;
      test::expect_near(actual.tensors[i], expected.tensors[i], 2e-4, kNames[i]);
    }
  });
}

TEST(GroupNormBlock, Bfloat16RoundsAsATenDoes) {
  const Tensor values = at::cat({numbers(1, {1000}).to(at::kFloat),
                                 at::tensor({1.0F + 0x1p-8F, 1.0F + 0x3p-8F, -0.0F, 3.4e38F,
                                             std::numeric_limits<float>::infinity(), 1e-40F})});
  const Tensor expected = values.to(at::kBFloat16);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    Bfloat16 stored;
    cuda::store(&stored, values[i].item<float>());
    EXPECT_EQ(cuda::load(&stored), expected[i].item<float>()) << values[i];
  }
  Bfloat16 nan;
  cuda::store(&nan, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(cuda::load(&nan)));
}

}  // namespace
}  // namespace cdm
