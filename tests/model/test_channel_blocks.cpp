// SPDX-License-Identifier: MIT
// The CUDA kernels that go over a batch channel by channel, block by block, on the host's threads.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cdm/core/text.h"
#include "derivatives.h"
#include "host_block.h"
#include "ops/channels/block.h"

namespace cdm {
namespace {

using at::Tensor;
using cuda::Bfloat16;
using cuda::channel_layout;
using cuda::ChannelLayout;
using cuda::Sum;
using test::data;
using test::HostBlock;
using test::kType;
using test::launch_on_host;
using test::numbers;

constexpr int kThreads = 64;  // of a block; more only make the host's barriers slower

struct Case {
  std::int64_t pixels, channels;
};

// One tile and several, a last tile that is not full, fewer pixels than rows, several chunks.
const Case kCases[] = {{3, 16}, {40, 8}, {20, 96}, {1, 136}};

/// Calls check.operator()<T, V>(case) for every type and vector width.
template <class Check>
void for_each_kernel(const Check& check) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(concat(c.pixels, " pixels, ", c.channels, " channels"));
    check.template operator()<double, 1>(c);
    check.template operator()<double, 2>(c);
    check.template operator()<float, 4>(c);
    check.template operator()<Bfloat16, 1>(c);
    check.template operator()<Bfloat16, 8>(c);
  }
}

/// Numbers that type T can hold.
template <class T>
Tensor drawn(std::uint64_t seed, at::IntArrayRef shape) {
  return numbers(seed, shape).to(kType<T>);
}

TEST(ChannelBlocks, ResidualSumRoundsOnceOnly) {
  for_each_kernel([]<class T, int V>(const Case& c) {
    const Tensor a = drawn<T>(1, {c.pixels, c.channels});
    const Tensor b = drawn<T>(2, {c.pixels, c.channels});
    const Tensor bias = drawn<Sum<T>>(3, {c.channels});
    const Tensor out = at::empty_like(a);
    const ChannelLayout layout = channel_layout(c.pixels, c.channels, V, 2, 1 << 16, kThreads);
    launch_on_host<Sum<T>>(layout.blocks(), layout.threads(), 0,
                           [&](const HostBlock<Sum<T>>& block) {
                             cuda::residual_sum_block<T, V>(block, layout, data<T>(a), data<T>(b),
                                                            data<Sum<T>>(bias), data<T>(out));
                           });
    const Tensor expected = (a.to(kType<Sum<T>>) + b.to(kType<Sum<T>>) + bias).to(kType<T>);
    EXPECT_TRUE(out.equal(expected)) << V << " numbers of type " << kType<T>;
  });
}

TEST(ChannelBlocks, SumsOverPixels) {
  for_each_kernel([]<class T, int V>(const Case& c) {
    const Tensor x = drawn<T>(1, {c.pixels, c.channels});
    const ChannelLayout layout = cuda::sum_layout(c.pixels, c.channels, V, kThreads);
    const Tensor partial = at::empty({layout.chunks, c.channels}, kType<Sum<T>>);
    launch_on_host<Sum<T>>(layout.blocks(), layout.threads(), layout.threads() * V,
                           [&](const HostBlock<Sum<T>>& block) {
                             cuda::sum_channels_block<T, V>(block, layout, data<T>(x),
                                                            data<Sum<T>>(partial));
                           });
    test::expect_near(partial.sum(0), x.to(at::kDouble).sum(0),
                      kType<T> == at::kDouble ? 1e-13 : 1e-5, concat(V, " numbers at once"));
  });
}

TEST(ChannelBlocks, ConcatenationAndSplitPutEveryNumberInItsPlace) {
  for_each_kernel([]<class T, int V>(const Case& c) {
    const std::int64_t first = V;  // the narrowest part that vectors fit into
    const std::int64_t second = c.channels - first;
    const Tensor a = drawn<T>(1, {c.pixels, first});
    const Tensor b = drawn<T>(2, {c.pixels, second});
    const Tensor whole = at::empty({c.pixels, c.channels}, kType<T>);
    const Tensor part_a = at::empty_like(a);
    const Tensor part_b = at::empty_like(b);
    const ChannelLayout layout = channel_layout(c.pixels, c.channels, V, 2, 1 << 16, kThreads);
    launch_on_host<Sum<T>>(
        layout.blocks(), layout.threads(), 0, [&](const HostBlock<Sum<T>>& block) {
          cuda::concat_channels_block<T, V>(
              block, layout, {first, second, data<T>(a), data<T>(b), data<T>(whole)});
          cuda::split_channels_block<T, V>(
              block, layout, {first, second, data<T>(part_a), data<T>(part_b), data<T>(whole)});
        });
    EXPECT_TRUE(whole.equal(at::cat({a, b}, 1)));
    EXPECT_TRUE(part_a.equal(a));
    EXPECT_TRUE(part_b.equal(b));
  });
}

}  // namespace
}  // namespace cdm
