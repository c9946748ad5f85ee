// SPDX-License-Identifier: MIT
#include "cdm/diffusion/denoiser.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <utility>

#include "cdm/diffusion/classifier.h"
#include "device/over_pieces.h"

namespace cdm {

at::Tensor Denoiser::labels_or_null(const at::Tensor& x, const at::Tensor& labels) const {
  if (labels.defined() || !network().is_conditional()) return labels;
  return at::full({x.size(0)}, network().null_class(), x.options().dtype(at::kLong));
}

at::Tensor Denoiser::predict_noise(const at::Tensor& x, const at::Tensor& t,
                                   const at::Tensor& labels, double guidance) const {
  if (guidance == 0.0 || !network().is_conditional() || !labels.defined()) {
    return noise(x, t, labels);
  }
  // Both halves of the guidance in one batch.
  const at::Tensor both = at::cat({labels, at::full_like(labels, network().null_class())});
  const at::Tensor eps = noise(at::cat({x, x}), at::cat({t, t}), both);
  const std::int64_t batch = x.size(0);
  return (1.0 + guidance) * eps.narrow(0, 0, batch) - guidance * eps.narrow(0, batch, batch);
}

NoisePredictor::NoisePredictor(std::shared_ptr<NoiseNetwork> network, NoiseSchedule schedule)
    : Denoiser(std::move(schedule)), network_(std::move(network)) {
  schedule_.to(network_->parameters().front().second.options());
}

at::Tensor NoisePredictor::noise_with_graph(const at::Tensor& x, const at::Tensor& t,
                                            const at::Tensor& labels, DropoutMasks* masks) const {
  return network_->noise(x, t, labels_or_null(x, labels), masks);
}

at::Tensor NoisePredictor::noise(const at::Tensor& x, const at::Tensor& t,
                                 const at::Tensor& labels) const {
  return over_pieces(
      x, labels, [&](const Piece& piece, const at::Tensor& rows, const at::Tensor& classes) {
        const c10::NoGradGuard no_grad;
        return noise_with_graph(rows, t.narrow(0, piece.first, piece.count), classes);
      });
}

std::shared_ptr<Denoiser> make_denoiser(std::shared_ptr<Network> network, NoiseSchedule schedule) {
  if (auto classifier = std::dynamic_pointer_cast<ClassifierNetwork>(network)) {
    return std::make_shared<Classifier>(std::move(classifier), std::move(schedule));
  }
  auto predictor = std::dynamic_pointer_cast<NoiseNetwork>(network);
  TORCH_CHECK(predictor, "a network is a classifier or predicts noise");
  return std::make_shared<NoisePredictor>(std::move(predictor), std::move(schedule));
}

}  // namespace cdm
