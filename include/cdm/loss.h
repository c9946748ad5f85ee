// SPDX-License-Identifier: MIT
// The training loss: cross entropy over noise levels, and the mean squared error of the denoiser
// that is the network's own input gradient. Its gradient is taken by double backpropagation.
#pragma once

#include <ATen/core/Tensor.h>

#include "cdm/classifier.h"
#include "cdm/config.h"

namespace cdm {

struct LossTerms {
  at::Tensor total;     // ce_weight * ce + mse_weight * mse; scalar, with a graph
  at::Tensor ce;        // nats; scalar, detached
  at::Tensor mse;       // per pixel; scalar, detached; NaN-free 0 when mse_weight is 0
  at::Tensor accuracy;  // share of images whose level has the largest logit; scalar
};

/// The loss of images x0 [B, C, H, W] at levels t [B] with noise [B, C, H, W] and labels [B]
/// (undefined when unconditional), with dropout where `masks` are given. The mean squared error is
/// left out where mse_weight is 0.
LossTerms cdm_loss(const Classifier& classifier, const LossConfig& config, const at::Tensor& x0,
                   const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels = {},
                   DropoutMasks* masks = nullptr);

}  // namespace cdm
