// SPDX-License-Identifier: MIT
// The copies of activations in a training step are those that are explained here, and no others. A
// copy costs as much memory traffic as a layer.
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/ops/ops.h"
#include "cdm/train/learner.h"
#include "support.h"

namespace cdm {
namespace {

constexpr std::int64_t kBatch = 4;  // as no dimension of a weight
constexpr std::int64_t kImageChannels = 3;

/// Counts the copies of a batch's tensors by LibTorch's operations while this object exists:
/// copy_(), to which clone(), contiguous() and conversions lead.
class Copies {
 public:
  using Counts = std::map<std::string, int>;

  Copies() {
    counts_.clear();
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(&begin, &end)
            .needsInputs(true)
            .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~Copies() { at::removeCallback(handle_); }
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  const Counts& counts() const { return counts_; }

 private:
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
    const auto inputs = function.inputs();
    if (std::string(function.name()) == "aten::copy_") {
      const at::Tensor& to = inputs[0].toTensor();
      const at::Tensor& from = inputs[1].toTensor();
      const bool moves = to.const_data_ptr() != from.const_data_ptr();
      if (moves && to.dim() >= 3 && to.size(0) == kBatch) {
        const std::lock_guard lock(mutex_);
        ++counts_[reason(to)];
      }
    }
    around_.emplace_back(function.name());
    return nullptr;
  }

  static void end(const at::RecordFunction& /*function*/, at::ObserverContext* /*context*/) {
    around_.pop_back();
  }

  /// Why a tensor is copied; the operations around the copy if that is not known.
  static std::string reason(const at::Tensor& to) {
    const std::string around = join(around_, " > ");
    const auto within = [&](const char* name) { return around.find(name) != std::string::npos; };
    if (to.size(1) == kImageChannels) return "images and their gradient, to channels_last";
    if (within("Concat")) return "parts of a concatenation's gradient";
    if (within("constant_pad_nd")) return "padding";
    if (within("_slow_conv2d")) return "LibTorch's own convolution of a few small images";
    return around;
  }

  static inline std::mutex mutex_;
  static inline Counts counts_;
  static inline thread_local std::vector<std::string> around_;
  at::CallbackHandle handle_ = 0;
};

TEST(Copies, OfActivationsInATrainingStepAreExplained) {
  ASSERT_TRUE(ops::fused());
  const RunConfig config = test::small_config();  // has attention in four places
  const NoiseSchedule schedule(config.diffusion);
  const at::Tensor images = test::numbers(1, {kBatch, kImageChannels, 8, 8}, at::kFloat).tanh();
  Learner learner(config, {kImageChannels, 8, schedule.levels()}, at::kCPU);
  const StepInputs inputs = test::step_inputs(config, 0, images);
  const Copies copies;
  learner.step(inputs);
  // Four concatenations have gradients of two parts in both backward passes. Four products of q, k
  // and v are small enough for LibTorch's own convolution.
  const Copies::Counts expected = {{"images and their gradient, to channels_last", 3},
                                   {"parts of a concatenation's gradient", 16},
                                   {"padding", 2},
                                   {"LibTorch's own convolution of a few small images", 4}};
  EXPECT_EQ(copies.counts(), expected) << testing::PrintToString(copies.counts());
}

}  // namespace
}  // namespace cdm
