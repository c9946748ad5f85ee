// SPDX-License-Identifier: MIT
// A training step converts no feature maps from one layout in memory to another.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/train/learner.h"
#include "support.h"

namespace cdm {
namespace {

constexpr std::int64_t kBatch = 16;

/// The feature maps that the calling thread has copied into another layout: shape and strides.
std::vector<std::string>& conversions() {
  thread_local std::vector<std::string> all;
  return all;
}

std::unique_ptr<at::ObserverContext> see_copy(const at::RecordFunction& call) {
  if (std::string(call.name()) != "aten::copy_") return nullptr;
  const at::Tensor& to = call.inputs()[0].toTensor();
  const at::Tensor& from = call.inputs()[1].toTensor();
  constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;
  if (to.dim() == 4 && to.size(0) == kBatch && to.size(1) > 1 && from.sizes() == to.sizes() &&
      to.is_contiguous(kChannelsLast) != from.is_contiguous(kChannelsLast) &&
      (to.is_contiguous() || from.is_contiguous())) {
    conversions().push_back(concat(to.sizes(), ": ", from.strides(), " to ", to.strides()));
  }
  return nullptr;
}

TEST(Layouts, AStepOnGreyImagesConvertsNone) {
  RunConfig config = test::small_config();
  config.model.channels = 32;
  config.model.channel_mult = {1, 2, 2};
  config.model.attention_resolutions = {4};
  const NoiseSchedule schedule(config.diffusion);
  Learner learner(config, {1, 16, schedule.levels()}, at::kCPU);
  const StepInputs inputs =
      test::step_inputs(config, 3, test::numbers(1, {kBatch, 1, 16, 16}, at::kFloat).tanh());
  const auto handle =
      at::addThreadLocalCallback(at::RecordFunctionCallback(see_copy).needsInputs(true));
  learner.loss_gradients(inputs);
  at::removeCallback(handle);
  EXPECT_TRUE(conversions().empty()) << join(conversions(), "\n");
}

}  // namespace
}  // namespace cdm
