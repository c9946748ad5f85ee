// SPDX-License-Identifier: MIT
// Parameters that are converted together: the numbers of converting them one by one.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "cdm/train/learner.h"
#include "model/cast_parameters.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

TEST(CastParameters, AreDifferentiableTwice) {
  const at::Tensor a = numbers(1, {3, 2}).requires_grad_(true);
  const at::Tensor b = numbers(2, {5}).requires_grad_(true);
  const std::vector<at::Tensor> cast = cast_together({a, b}, at::kFloat);
  EXPECT_EQ(cast[0].scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(cast[1], b.to(at::kFloat)));
  const at::Tensor f = cast[0].pow(3).sum();  // the second result is not used
  const at::Tensor first = torch::autograd::grad({f}, {a}, {}, true, /*create_graph=*/true)[0];
  EXPECT_EQ(first.scalar_type(), at::kDouble);
  test::expect_close(first, 3.0 * a.detach().square(), 1e-6, "first derivative");
  const at::Tensor second = torch::autograd::grad({first.sum()}, {a})[0];
  test::expect_close(second, 6.0 * a.detach(), 1e-6, "second derivative");
}

TEST(CastParameters, AreFoundWhileTheObjectExists) {
  const NamedTensors parameters = {{"a", numbers(1, {3})}, {"b", numbers(2, {4})}};
  const at::Tensor other = numbers(3, {2});
  {
    const CastParameters cast(parameters, at::kFloat);
    const at::Tensor b = CastParameters::as(parameters[1].second, at::kFloat);
    EXPECT_TRUE(b.is_same(CastParameters::as(parameters[1].second, at::kFloat)));
    EXPECT_TRUE(at::equal(b, parameters[1].second.to(at::kFloat)));
    EXPECT_TRUE(at::equal(CastParameters::as(other, at::kFloat), other.to(at::kFloat)));
    EXPECT_EQ(CastParameters::as(parameters[1].second, at::kBFloat16).scalar_type(), at::kBFloat16);
    EXPECT_TRUE(CastParameters::as(other, at::kDouble).is_same(other));
  }
  EXPECT_FALSE(CastParameters::as(parameters[0].second, at::kFloat)
                   .is_same(CastParameters::as(parameters[0].second, at::kFloat)));
}

TEST(CastParameters, GiveTheGradientsOfConvertingOneByOne) {
  RunConfig config = test::small_config();
  config.precision = Arithmetic::bf16;
  const NoiseSchedule schedule(config.diffusion);
  const at::Tensor images = numbers(1, {4, 1, 8, 8}, at::kFloat).tanh();
  const auto gradients = [&](bool together) {
    Learner learner(config, {1, 8, schedule.levels()}, at::kCPU);
    // The last layer begins at zero, which hides the gradients of the others.
    for (const auto& [name, value] : learner.model().network().parameters()) {
      value.detach().add_(numbers(7, value.sizes(), at::kFloat), 0.05);
    }
    learner.model().network().cast_together(together);
    return learner.loss_gradients(test::step_inputs(config, 0, images));
  };
  const LossGradients together = gradients(true);
  const LossGradients apart = gradients(false);
  EXPECT_TRUE(at::equal(together["loss"], apart["loss"]));
  for (std::size_t i = 0; i < apart.gradients.size(); ++i) {
    EXPECT_EQ(together.gradients[i].scalar_type(), at::kFloat);
    EXPECT_EQ(together.gradients[i].strides(), apart.gradients[i].strides());
    EXPECT_TRUE(at::equal(together.gradients[i], apart.gradients[i])) << i;
  }
}

}  // namespace
}  // namespace cdm
