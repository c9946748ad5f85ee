// SPDX-License-Identifier: MIT
#include "cdm/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

namespace cdm {

LossTerms cdm_loss(const Classifier& classifier, const LossConfig& config, const at::Tensor& x0,
                   const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels,
                   DropoutMasks* masks) {
  const bool denoises = config.mse_weight > 0.0;
  const at::Tensor x_t = classifier.schedule().add_noise(x0, t, noise).detach();
  x_t.requires_grad_(denoises);
  const at::Tensor logits = classifier.logits(x_t, labels, masks);

  LossTerms terms;
  const at::Tensor ce = at::cross_entropy_loss(logits, t);
  terms.total = config.ce_weight * ce;
  terms.ce = ce.detach();
  terms.mse = at::zeros({}, ce.options());
  if (denoises) {
    const at::Tensor F = classifier.log_ratio(logits, t);
    const at::Tensor grad_F = torch::autograd::grad({F.sum()}, {x_t}, {}, /*retain_graph=*/true,
                                                    /*create_graph=*/true)[0];
    const at::Tensor mse = at::mse_loss(classifier.noise_from_gradient(grad_F, x_t, t), noise);
    terms.total = terms.total + config.mse_weight * mse;
    terms.mse = mse.detach();
  }
  terms.accuracy = logits.detach().argmax(1).eq(t).to(at::kFloat).mean();
  return terms;
}

}  // namespace cdm
