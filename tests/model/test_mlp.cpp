// SPDX-License-Identifier: MIT
// The fully connected classifier against its formula, Fourier features included.
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "cdm/model/mlp.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

constexpr NetworkShape kShape = {.channels = 1, .image_size = 2, .levels = 5};

std::unique_ptr<Mlp> network(std::int64_t octaves) {
  ModelConfig config = test::small_config().model;
  config.kind = NetworkKind::mlp;
  config.channels = 7;
  config.res_blocks = 2;
  config.fourier_features = octaves;
  auto made = std::make_unique<Mlp>(config, kShape, /*seed=*/3);
  made->to(at::kCPU, at::kDouble);
  return made;
}

/// Features of rows [N, 4] in the order of the weights: pixels, all sines, all cosines; the octaves
/// of a pixel are neighbours.
at::Tensor features(const at::Tensor& rows, std::int64_t octaves) {
  std::vector<at::Tensor> sines, cosines;
  for (std::int64_t pixel = 0; pixel < rows.size(1); ++pixel) {
    for (std::int64_t k = 0; k < octaves; ++k) {
      const at::Tensor angle = rows.select(1, pixel) * (std::numbers::pi * (1 << k));
      sines.push_back(angle.sin().unsqueeze(1));
      cosines.push_back(angle.cos().unsqueeze(1));
    }
  }
  std::vector<at::Tensor> all = {rows};
  all.insert(all.end(), sines.begin(), sines.end());
  all.insert(all.end(), cosines.begin(), cosines.end());
  return at::cat(all, 1);
}

at::Tensor by_hand(const Mlp& net, const at::Tensor& images, std::int64_t octaves) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, tensor] : net.parameters()) weights[name] = tensor;
  at::Tensor h = features(images.flatten(1), octaves);
  for (const std::string layer : {"hidden.0", "hidden.1"}) {
    h = at::linear(h, weights.at(layer + ".weight"), weights.at(layer + ".bias"));
    h = h * at::sigmoid(h);
  }
  return at::linear(h, weights.at("linear_layer.weight"), weights.at("linear_layer.bias"))
      .cumsum(1);
}

/// d/dx of the sum of squares of d/dx of the sum of squares: takes a second derivative.
at::Tensor second_derivative(const at::Tensor& out, const at::Tensor& x) {
  const at::Tensor first = torch::autograd::grad({out.square().sum()}, {x}, {}, true, true)[0];
  return torch::autograd::grad({first.square().sum()}, {x})[0];
}

TEST(Mlp, ValueAndDerivativesAreThoseOfItsFormula) {
  for (const std::int64_t octaves : {0, 1, 4}) {
    SCOPED_TRACE(octaves);
    const std::unique_ptr<Mlp> net = network(octaves);
    const at::Tensor x = numbers(5, {3, 1, 2, 2}).requires_grad_(true);
    const at::Tensor ours = (*net)(x, {}, {});
    const at::Tensor expected = by_hand(*net, x, octaves);
    EXPECT_EQ(ours.sizes(), at::IntArrayRef({3, 5}));
    test::expect_close(ours, expected, 1e-13, "value");
    test::expect_close(second_derivative(ours, x), second_derivative(expected, x), 1e-13,
                       "second derivative");
  }
}

}  // namespace
}  // namespace cdm
