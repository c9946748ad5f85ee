// SPDX-License-Identifier: MIT
// What is minimised in training. For a classification diffusion model, the cross entropy over noise
// levels and the mean squared error of the denoiser that is the network's own input gradient; its
// gradient is taken by double backpropagation. Beside it, its ancestors and the plain denoiser.
//
//   cdm  ce_weight CE(t, f(x_t)) + mse_weight MSE(eps, eps_theta)         (Yadin et al., 2024)
//   nce  ce_weight CE of two classes, data (level 0) against noise (the reference), by the two
//        logits alone: cdm with T = 0                          (Gutmann and Hyvarinen, 2010)
//   tre  ce_weight times the mean over neighbouring levels k, k+1 of the logistic loss that tells
//        them apart by f[k] - f[k+1]                           (Rhodes et al., 2020)
//   a ddm_unet: mse_weight MSE(eps, network(x_t, t))           (Ho et al., 2020)
#pragma once

#include <ATen/core/Tensor.h>

#include "cdm/config/config.h"
#include "cdm/device/random.h"
#include "cdm/diffusion/classifier.h"

namespace cdm {

struct LossTerms {
  at::Tensor total;     // what is minimised; scalar, with a graph
  at::Tensor ce;        // nats, of the classification; scalar, detached; 0 for a plain denoiser
  at::Tensor mse;       // per pixel; scalar, detached; 0 where it is not part of the loss
  at::Tensor accuracy;  // share of right decisions of the classification; scalar
};

/// The levels int64 [batch] that the loss is taken at, each as likely as the others: all of them;
/// the two ends for nce; those where noise can be told from image (neither end) for a plain
/// denoiser.
at::Tensor draw_levels(const NoiseSchedule& schedule, const ModelConfig& model,
                       const LossConfig& loss, const RandomStream& stream, std::int64_t batch);

/// The loss of images x0 [B, C, H, W] at levels t [B] with noise [B, C, H, W] and labels [B]
/// (undefined when unconditional), with dropout where `masks` are given. The mean squared error is
/// left out where mse_weight is 0. Throws UserError for a loss.kind it does not know.
LossTerms training_loss(const Denoiser& model, const LossConfig& config, const at::Tensor& x0,
                        const at::Tensor& t, const at::Tensor& noise, const at::Tensor& labels = {},
                        DropoutMasks* masks = nullptr);

}  // namespace cdm
