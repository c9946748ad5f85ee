// SPDX-License-Identifier: MIT
// bench-ops: how long each op takes, fused and as its plain twin, at three depths: the value, with
// the gradient, and with the gradient of the gradient, as in a training step. One thread; shapes
// are those of a UNet of 64 channels on 28 x 28 images, layouts too. Options are Google
// Benchmark's.
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/device/device.h"
#include "cdm/device/random.h"
#include "cdm/ops/ops.h"

namespace {

using Tensors = std::vector<at::Tensor>;
using Op = at::Tensor (*)(const Tensors& arguments);

enum class Depth { value, first_derivative, second_derivative };

constexpr std::int64_t kBatch = 16;
constexpr std::int64_t kChannels = 64;
constexpr std::int64_t kPixels = 28;
constexpr std::int64_t kGroups = 32;
constexpr double kEps = 1e-6;

at::Tensor conv2d(const Tensors& a) { return cdm::ops::conv2d(a[0], a[1], a[2], 1, 1); }
at::Tensor upsample_conv2d(const Tensors& a) { return cdm::ops::upsample_conv2d(a[0], a[1], a[2]); }
at::Tensor mean_of_conv2d(const Tensors& a) { return cdm::ops::mean_of_conv2d(a[0], a[1], a[2]); }
at::Tensor group_norm_silu(const Tensors& a) {
  return cdm::ops::group_norm_silu(a[0], a[1], a[2], kGroups, kEps);
}

at::Tensor attention(const Tensors& a) { return cdm::ops::attention(a[0]); }

at::Tensor numbers(std::uint64_t index, at::IntArrayRef shape) {
  const at::Tensor drawn =
      cdm::normal({0, cdm::Purpose::noise, index}, shape, at::TensorOptions().dtype(at::kFloat));
  // As the networks lay out images and kernels.
  return shape.size() == 4 ? drawn.contiguous(at::MemoryFormat::ChannelsLast) : drawn;
}

void measure(benchmark::State& state, Op op, const Tensors& values, Depth depth, bool fused) {
  cdm::ops::set_fused(fused);
  Tensors arguments;
  for (const at::Tensor& value : values) {
    arguments.push_back(value.detach().requires_grad_(depth != Depth::value));
  }
  const at::Tensor weights = numbers(7, op(arguments).sizes());
  const at::Tensor direction = numbers(8, arguments[0].sizes());
  for (auto _ : state) {
    at::Tensor result = op(arguments);
    if (depth == Depth::first_derivative) {
      result = torch::autograd::grad({result}, arguments, {weights})[0];
    } else if (depth == Depth::second_derivative) {
      // The loss's way: the gradient by the images, and of that the gradient by everything.
      const at::Tensor gradient =
          torch::autograd::grad({result}, {arguments[0]}, {weights}, /*retain_graph=*/true,
                                /*create_graph=*/true)[0];
      result = torch::autograd::grad({gradient}, arguments, {direction}, /*retain_graph=*/false,
                                     /*create_graph=*/false, /*allow_unused=*/true)
                   .at(arguments.size() > 1 ? 1 : 0);
    }
    benchmark::DoNotOptimize(result.const_data_ptr());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}

void add(const std::string& name, Op op, const Tensors& arguments) {
  for (const auto& [depth, depth_name] :
       {std::pair(Depth::value, "value"), std::pair(Depth::first_derivative, "first"),
        std::pair(Depth::second_derivative, "second")}) {
    for (const bool fused : {true, false}) {
      const std::string whole = name + "/" + depth_name + (fused ? "/fused" : "/reference");
      benchmark::RegisterBenchmark(whole.c_str(), measure, op, arguments, depth, fused)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  cdm::keep_freed_memory();  // as every program does
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const at::Tensor images = numbers(0, {kBatch, kChannels, kPixels, kPixels});
  add("conv2d", conv2d,
      {images, numbers(1, {kChannels, kChannels, 3, 3}), numbers(2, {kChannels})});
  // The upsampling of such a UNet from 14 x 14 pixels, and its head.
  add("upsample_conv2d", upsample_conv2d,
      {numbers(5, {kBatch, 2 * kChannels, kPixels / 2, kPixels / 2}),
       numbers(6, {2 * kChannels, 2 * kChannels, 3, 3}), numbers(9, {2 * kChannels})});
  add("mean_of_conv2d", mean_of_conv2d,
      {images, numbers(10, {2 * kChannels, kChannels, 3, 3}), numbers(11, {2 * kChannels})});
  add("group_norm_silu", group_norm_silu,
      {images, numbers(3, {kChannels}), numbers(4, {kChannels})});
  add("attention", attention, {numbers(12, {kBatch, 3 * 2 * kChannels, kPixels / 2, kPixels / 2})});
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
