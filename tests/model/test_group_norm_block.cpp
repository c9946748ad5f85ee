// SPDX-License-Identifier: MIT
// The CUDA kernels of group normalisation, block by block, on the host's threads.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/device/random_rows.h"
#include "cdm/ops/ops.h"
#include "derivatives.h"
#include "ops/group_norm/block_passes.h"

namespace cdm {
namespace {

using at::Tensor;
using cuda::Bfloat16;
using cuda::NormLayout;
using cuda::NormPass;
using cuda::Sum;
using ops::NormShape;
using test::leaf;
using test::numbers;

constexpr double kEps = 1e-6;
constexpr double kRate = 0.3;
constexpr int kThreads = 64;               // of a block; more only make the host's barriers slower
constexpr std::int64_t kH100 = 227 << 10;  // bytes of shared memory that a block may have there

/// What the threads of a block share.
struct Memory {
  Memory(const NormLayout& layout, std::int64_t bytes)
      : barrier(layout.threads),
        shared(static_cast<std::size_t>(bytes / 16 + 1)),
        exchanged(static_cast<std::size_t>(layout.threads)) {}

  struct alignas(16) Sixteen {
    char bytes[16];
  };
  std::barrier<> barrier;
  std::vector<Sixteen> shared;
  std::vector<const void*> exchanged;  // an array of each thread
};

/// A block of GPU threads, imitated by threads of the host.
class HostBlock {
 public:
  HostBlock(std::int64_t index, int thread, Memory& memory)
      : index_(index), thread_(thread), memory_(memory) {}

  std::int64_t index() const { return index_; }
  int thread() const { return thread_; }
  void* shared() const { return memory_.shared.data(); }
  void sync() const { memory_.barrier.arrive_and_wait(); }
  void sync_copies() const { sync(); }
  void copy(void* to, const void* from) const {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(to) % 16, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(from) % 16, 0);
    std::memcpy(to, from, 16);
  }
  template <class S, int Count>
  void add_from_lane(S (&values)[Count], int offset) const {
    S mine[Count];
    std::copy_n(values, Count, mine);
    memory_.exchanged[static_cast<std::size_t>(thread_)] = mine;
    sync();
    const auto* const other =
        static_cast<const S*>(memory_.exchanged[static_cast<std::size_t>(thread_ ^ offset)]);
    for (int i = 0; i < Count; ++i) values[i] += other[i];
    sync();
  }

 private:
  std::int64_t index_;
  int thread_;
  Memory& memory_;
};

/// Runs body(block) in every thread of every block, one block after the other.
template <class Body>
void launch(const NormLayout& layout, std::int64_t shared, const Body& body) {
  Memory memory(layout, shared);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < layout.threads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::int64_t index = 0; index < layout.blocks(); ++index) {
        const HostBlock block(index, thread, memory);
        body(block);
        block.sync();  // the next block has the same memory
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Arguments {
  Tensor x, gamma, beta, shift, grad_y, v, v_gamma, v_beta, v_shift;
  ops::Dropout dropout;
};

/// What a test asks for besides the numbers.
struct Options {
  std::int64_t element;       // bytes by which the layout is chosen
  bool staged = true;         // the layout that is expected
  int channels = 0;           // per block; 0: any
  std::int64_t most = kH100;  // bytes of shared memory
  std::int64_t threads = kThreads;
  bool optional = true;  // arrays that may be null are there
};

struct Results {
  std::vector<Tensor> tensors;  // y; grad_x, grad_gamma, ...; to_grad_y, to_x, to_gamma, ...
};

const char* const kNames[] = {"y",         "grad_x", "grad_gamma", "grad_beta", "grad_shift",
                              "to_grad_y", "to_x",   "to_gamma",   "to_beta",   "to_shift"};

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

template <class T>
T* data(const Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

/// Runs one pass, in the version that its layout says.
template <NormPass Pass, class T, class Activation, class Call>
void run(std::int64_t batch, NormShape shape, const Options& options,
         const ops::NormInput<T, Sum<T>>& in, const cuda::NormDropout& dropout, const Call& call) {
  using S = Sum<T>;
  const NormLayout layout = cuda::norm_layout(
      Pass, batch, shape,
      {options.element, static_cast<std::int64_t>(sizeof(S)), options.most, true, options.threads});
  EXPECT_EQ(layout.staged, options.staged);
  if (options.channels > 0) {
    EXPECT_EQ(layout.channels, options.channels);
  }
  // A layout for smaller elements than T needs that much more memory.
  const std::int64_t shared =
      layout.shared *
      std::max<std::int64_t>(static_cast<std::int64_t>(sizeof(T)) / options.element, 1);
  launch(layout, shared, [&](const HostBlock& block) {
    if (layout.staged) {
      cuda::NormBlock<Pass, Activation, T, true, HostBlock> whole(block, layout, in, dropout);
      call(whole);
    } else {
      cuda::NormBlock<Pass, Activation, T, false, HostBlock> whole(block, layout, in, dropout);
      call(whole);
    }
  });
}

/// The three kernels; sums over the batch are the caller's, as on a GPU.
template <class T, class Activation>
Results by_blocks(const Arguments& a, NormShape shape, at::ScalarType type,
                  const Options& options) {
  using S = Sum<T>;
  const std::int64_t batch = a.x.size(0);
  const at::ScalarType sum_type = type == at::kDouble ? at::kDouble : at::kFloat;
  const auto image = [&](const Tensor& x) { return channels_last(x.to(type)); };
  const auto per_channel = [&](const Tensor& x, bool wanted = true) {
    return wanted ? x.to(sum_type).contiguous() : Tensor();
  };
  const auto empty_image = [&] { return channels_last(at::empty(a.x.sizes(), type)); };
  const auto sums = [&](std::int64_t width, bool wanted = true) {
    return wanted ? at::empty({batch, width}, sum_type) : Tensor();
  };
  const std::int64_t shift_stride = a.shift.size(0) > 1 ? shape.channels : 0;

  const Tensor x = image(a.x);
  const Tensor gamma = per_channel(a.gamma);
  const Tensor beta = per_channel(a.beta);
  const Tensor shift = per_channel(a.shift, options.optional);
  const Tensor mean = sums(shape.groups);
  const Tensor rstd = sums(shape.groups);
  const ops::NormInput<T, S> in = {data<T>(x),    data<S>(shift), shift_stride, data<S>(gamma),
                                   data<S>(beta), data<S>(mean),  data<S>(rstd)};
  const Tensor bits = at::full({std::max<std::int64_t>(a.x.numel() / 8, 1)}, 0xAA, at::kByte);
  cuda::NormDropout dropout;
  if (a.dropout.rate > 0.0) {
    dropout = {data<std::int64_t>(a.dropout.rows), static_cast<std::uint64_t>(a.dropout.layer),
               static_cast<std::uint32_t>(std::ceil(static_cast<float>(kRate) * (1 << 24))),
               1.0 / (1.0 - kRate), data<std::uint8_t>(bits)};
  }

  const Tensor y = empty_image();
  run<NormPass::forward, T, Activation>(batch, shape, options, in, dropout,
                                        [&](auto& block) { block.forward(kEps, data<T>(y)); });

  const Tensor grad_y = image(a.grad_y);
  const Tensor grad_x = empty_image();
  const Tensor grad_gamma = sums(shape.channels, options.optional);
  const Tensor grad_beta = sums(shape.channels, options.optional);
  const Tensor grad_shift = sums(shape.channels, options.optional);
  const ops::NormBackward<T, S> first = {data<T>(grad_y), data<T>(grad_x), data<S>(grad_gamma),
                                         data<S>(grad_beta), data<S>(grad_shift)};
  run<NormPass::backward, T, Activation>(batch, shape, options, in, dropout,
                                         [&](auto& block) { block.backward(first); });

  const Tensor v = image(a.v);
  const Tensor v_gamma = per_channel(a.v_gamma, options.optional);
  const Tensor v_beta = per_channel(a.v_beta, options.optional);
  const Tensor v_shift = per_channel(a.v_shift, options.optional);
  const Tensor to_grad_y = empty_image();
  const Tensor to_x = empty_image();
  const Tensor to_gamma = sums(shape.channels);
  const Tensor to_beta = sums(shape.channels);
  const Tensor to_shift = sums(shape.channels, options.optional);
  const ops::NormDoubleBackward<T, S> second = {
      data<T>(grad_y),    data<T>(v),    data<S>(v_gamma),  data<S>(v_beta),  data<S>(v_shift),
      data<T>(to_grad_y), data<T>(to_x), data<S>(to_gamma), data<S>(to_beta), data<S>(to_shift)};
  run<NormPass::double_backward, T, Activation>(
      batch, shape, options, in, dropout, [&](auto& block) { block.double_backward(second); });

  const auto total = [](const Tensor& part) { return part.defined() ? part.sum(0) : part; };
  const auto of_shift = [&](const Tensor& part) {
    return part.defined() && shift_stride == 0 ? part.sum(0, true) : part;
  };
  return {{y, grad_x, total(grad_gamma), total(grad_beta), of_shift(grad_shift), to_grad_y, to_x,
           total(to_gamma), total(to_beta), of_shift(to_shift)}};
}

Results by_twin(const Arguments& a, NormShape shape) {
  const Tensor x = leaf(a.x);
  const Tensor gamma = leaf(a.gamma);
  const Tensor beta = leaf(a.beta);
  const Tensor shift = leaf(a.shift);
  const Tensor grad_y = leaf(a.grad_y);
  const Tensor y = shape.silu ? reference::group_norm_silu(x, gamma, beta, shape.groups, kEps,
                                                           {shift, a.dropout})
                              : reference::group_norm(x + shift.unsqueeze(2).unsqueeze(3), gamma,
                                                      beta, shape.groups, kEps);
  const std::vector<Tensor> first =
      torch::autograd::grad({y}, {x, gamma, beta, shift}, {grad_y}, true, /*create_graph=*/true);
  const std::vector<Tensor> second = torch::autograd::grad(
      first, {grad_y, x, gamma, beta, shift}, {a.v, a.v_gamma, a.v_beta, a.v_shift}, false, false,
      /*allow_unused=*/true);
  Results results = {{y.detach()}};
  for (const Tensor& gradient : first) results.tensors.push_back(gradient.detach());
  for (const Tensor& gradient : second) results.tensors.push_back(gradient);
  return results;
}

void expect_near(const Results& actual, const Results& expected, double tolerance, double of_sums) {
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    if (!actual.tensors[i].defined()) continue;  // not wanted
    if (expected.tensors[i].defined()) {
      const bool is_image = expected.tensors[i].dim() == 4;
      test::expect_near(actual.tensors[i], expected.tensors[i], is_image ? tolerance : of_sums,
                        kNames[i]);
    } else {  // without SiLU, nothing depends on beta
      EXPECT_EQ(actual.tensors[i].abs().max().item<double>(), 0.0) << kNames[i];
    }
  }
}

struct Case {
  std::int64_t batch, channels, height, width, groups;
  int in_a_block;  // channels
};

/// The shapes of the CIFAR-10 network, and the channels of their blocks for bfloat16 on an H100.
const Case kCifar[] = {
    {128, 128, 32, 32, 32, 16}, {128, 256, 32, 32, 32, 16}, {128, 384, 32, 32, 32, 24},
    {128, 512, 16, 16, 32, 64}, {128, 384, 16, 16, 32, 48}, {128, 256, 16, 16, 32, 64},
    {128, 128, 16, 16, 32, 32}, {128, 512, 8, 8, 32, 64},   {128, 256, 8, 8, 32, 64},
    {128, 512, 4, 4, 32, 64},   {128, 256, 4, 4, 32, 64},
};

/// Their blocks, in images with fewer of them.
const Case kSlabs[] = {
    {1, 64, 32, 32, 16, 16},  {1, 96, 32, 32, 8, 24},
    {1, 256, 16, 16, 16, 64}, {1, 192, 16, 16, 16, 48},
    {2, 256, 4, 4, 32, 64},   {2, 64, 7, 5, 32, 16},  // an odd number of pixels
    {3, 40, 3, 3, 2, 40},    // groups wider than a vector, lanes without channels
    {2, 16, 1, 1, 4, 16},    // more rows than pixels
    {2, 48, 5, 7, 16, 24},   // groups that share vectors
    {1, 256, 3, 2, 2, 128},  // as many lanes as a warp has
};

/// Shapes that have no slab.
const Case kOthers[] = {
    {2, 60, 5, 7, 20, 30},  // several groups a block, more rows than some threads have pixels
    {1, 3, 2, 1, 1, 3},     // more rows than pixels
    {3, 44, 3, 3, 1, 44},   // a group wider than a warp
    {2, 74, 3, 5, 37, 2},   // a number of groups that nothing divides
    {1, 70, 2, 2, 1, 70},   // more lanes than a warp
};

Arguments arguments_of(const Case& c, bool silu) {
  const std::vector<std::int64_t> image = {c.batch, c.channels, c.height, c.width};
  // With one shift for all images where there is an odd number of them.
  const std::vector<std::int64_t> shift = {c.batch % 2 == 0 ? c.batch : 1, c.channels};
  ops::Dropout dropout;
  if (silu) dropout = {kRate, random_rows(5, Purpose::dropout, 11, at::kCPU), 3};
  return {numbers(1, image).mul(2.0).add(0.5),
          numbers(2, {c.channels}),
          numbers(3, {c.channels}),
          numbers(8, shift),
          numbers(4, image),
          numbers(5, image),
          numbers(6, {c.channels}),
          numbers(7, {c.channels}),
          numbers(9, shift),
          dropout};
}

std::string text_of(const Case& c) {
  return concat("batch ", c.batch, ", ", c.channels, " channels in ", c.groups, " groups, ",
                c.height, "x", c.width, " pixels");
}

/// Rounds the arguments to T and compares the results. Sums and everything between are in Sum<T>.
template <class T>
void compare(const Case& c, bool silu, at::ScalarType type, Options options, double tolerance,
             double of_sums) {
  SCOPED_TRACE(text_of(c) + (silu ? ", SiLU" : ""));
  const NormShape shape = {c.height * c.width, c.channels, c.groups, silu};
  Arguments a = arguments_of(c, silu);
  if (!options.optional) {
    for (Tensor* zero : {&a.shift, &a.v_gamma, &a.v_beta, &a.v_shift}) zero->zero_();
  }
  const at::ScalarType sum_type = type == at::kDouble ? at::kDouble : at::kFloat;
  for (Tensor* image : {&a.x, &a.grad_y, &a.v}) *image = image->to(type).to(at::kDouble);
  for (Tensor* row : {&a.gamma, &a.beta, &a.shift, &a.v_gamma, &a.v_beta, &a.v_shift}) {
    *row = row->to(sum_type).to(at::kDouble);
  }
  options.channels = c.in_a_block;
  expect_near(silu ? by_blocks<T, ops::Silu>(a, shape, type, options)
                   : by_blocks<T, ops::Identity>(a, shape, type, options),
              by_twin(a, shape), tolerance, of_sums);
}

constexpr double kBfloat16 = 0x1p-8;  // half a unit of an 8-bit significand

TEST(GroupNormBlock, SlabsEqualTheTwinInFloat64) {
  for (const Case& c : kSlabs) {
    compare<double>(c, true, at::kDouble, {2}, 1e-11, 1e-11);
  }
  for (const Case& c : {kSlabs[5], kSlabs[6]}) {
    compare<double>(c, false, at::kDouble, {2}, 1e-11, 1e-11);
  }
}

TEST(GroupNormBlock, SlabsAreCloseInFloat32) {
  for (const Case& c : {kSlabs[4], kSlabs[5]}) {
    compare<float>(c, true, at::kFloat, {2}, 2e-4, 2e-4);
  }
  compare<float>({2, 64, 5, 7, 16, 16}, true, at::kFloat, {4}, 2e-4, 2e-4);
}

TEST(GroupNormBlock, SlabsRoundToBfloat16AtTheEndsOnly) {
  for (const Case& c : {kSlabs[0], kSlabs[4], kSlabs[5]}) {
    compare<Bfloat16>(c, true, at::kBFloat16, {2}, kBfloat16, 2e-4);
  }
}

TEST(GroupNormBlock, SlabsWithFullBlocksOfThreads) {
  Options options = {2};
  options.threads = 256;
  compare<double>({1, 32, 16, 32, 8, 16}, true, at::kDouble, options, 1e-11, 1e-11);
}

TEST(GroupNormBlock, WhatIsNotGivenIsZeroAndWhatIsNotWantedIsNotWritten) {
  Options options = {2};
  options.optional = false;
  compare<double>(kSlabs[5], true, at::kDouble, options, 1e-11, 1e-11);
}

TEST(GroupNormBlock, OtherShapesEqualTheTwin) {
  Options options = {2};
  options.staged = false;
  for (const Case& c : kOthers) compare<double>(c, true, at::kDouble, options, 1e-11, 1e-11);
  compare<double>(kOthers[0], false, at::kDouble, options, 1e-11, 1e-11);
  compare<float>(kOthers[0], true, at::kFloat, options, 2e-4, 2e-4);
  compare<Bfloat16>(kOthers[0], true, at::kBFloat16, options, kBfloat16, 2e-4);
}

/// Pixels that a block has too few threads to copy.
TEST(GroupNormBlock, PixelsThatAreWiderThanABlockAreNotStaged) {
  Options options = {8};
  options.staged = false;
  compare<double>({1, 256, 2, 1, 1, 256}, true, at::kDouble, options, 1e-11, 1e-11);
}

/// Images that are too large for shared memory.
TEST(GroupNormBlock, SlabsThatDoNotFitAreNotStaged) {
  Options options = {2};
  options.staged = false;
  options.most = 1 << 10;
  Case c = kSlabs[5];
  c.in_a_block = 32;
  compare<double>(c, true, at::kDouble, options, 1e-11, 1e-11);
}

TEST(GroupNormBlock, LayoutsUseTheGpuWell) {
  for (const Case& c : kCifar) {
    SCOPED_TRACE(text_of(c));
    const NormShape shape = {c.height * c.width, c.channels, c.groups, true};
    for (const NormPass pass : {NormPass::forward, NormPass::backward, NormPass::double_backward}) {
      const NormLayout layout = cuda::norm_layout(pass, c.batch, shape, {2, 4, kH100});
      EXPECT_TRUE(layout.staged);
      EXPECT_EQ(layout.channels, c.in_a_block);
      EXPECT_EQ(layout.channels * 2 % 16, 0) << "16-byte accesses";
      EXPECT_GE(layout.channels * 2, 32) << "whole sectors";
      EXPECT_LE(layout.threads, 512);
      EXPECT_EQ(layout.threads % cuda::kWarp, 0);
      // Two blocks fit in an SM, but for the second derivative of 1024 pixels x 24 channels.
      if (c.in_a_block != 24 || pass != NormPass::double_backward) {
        EXPECT_LE(2 * layout.shared, kH100);
        EXPECT_LE(layout.threads, 256);
      } else {
        EXPECT_EQ(layout.threads, 512);
      }
    }
  }
  const NormShape shape = {16, 32, 8, true};
  EXPECT_FALSE(
      cuda::norm_layout(NormPass::forward, 1, shape, {2, 4, kH100, /*aligned=*/false}).staged);
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
