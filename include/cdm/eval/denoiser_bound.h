// SPDX-License-Identifier: MIT
// The log-likelihood that a model's denoiser proves, to check the log-density that its logits
// claim.
//
// Any denoiser eps(x, t) gives an upper bound on the negative log-likelihood of an image x_0 of d
// pixels (Kingma et al., 2021, arXiv 2107.00630; as an integral over the log-SNR l = log(signal^2 /
// sigma^2) by Kong et al., 2023, arXiv 2302.03792):
//
//   -log p(x_0) <= (d/2) log(2 pi e) + 1/2 integral over l of ( E ||eps - eps(x_t, t)||^2
//                                                               - d sigmoid(l) ) dl
//
// The expectation is over the noise. In the mean over images, the optimal denoiser reaches
// equality.
//
// A log-density by one forward pass proves nothing by itself, because nothing forces the model's
// levels to be normalised. If it claims more than the bound proves, the density is not normalised,
// or the denoiser is worse than the density. If it claims less, the model denoises better than its
// log-density knows: the differences between levels add up to a constant that is not learnt yet.
//
// The integral, between the first and the last level l_1 > ... > l_n that have both image and
// noise:
//   d sigmoid(l)   in closed form
//   squared error  by the trapezoidal rule in l. Its error is small where the levels are dense.
// Beyond them, denoisers that are known replace the model's:
//   l > l_1        eps = 0, whose error is d: 1/2 d log(1 + exp(-l_1)). This is tight only where
//                  the noise of level 1 is finer than the data. Dequantised pixels that are always
//                  black have the variance v = 1/128^2/12; each of them costs the bound
//                  1/2 log(1 + sigma_1^2 / v) nats: 2.2 bits at sigma_1 = 0.01, and 0.016 at a
//                  log-SNR of 16.
//   l < l_n        eps = sigma x_t:           1/2 sigmoid(l_n) (||x_0||^2 - d)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "cdm/config/kinds.h"
#include "cdm/diffusion/model.h"
#include "cdm/distributed/process_group.h"
#include "cdm/eval/nll.h"

namespace cdm {

struct BoundOptions {
  std::int64_t levels = 1;  // noise levels at which each image is denoised
  Dequantization dequantization = Dequantization::none;
  std::uint64_t seed = 0;  // of levels, noise and dequantisation
  std::int64_t batch_size = 128;
};

struct DenoiserBound {
  /// An estimate of the lower bound on log p(x_0) of each image, in nats. Each is unbiased for the
  /// rule above but scatters widely, because an image is denoised at few levels. The mean over many
  /// images is what counts.
  at::Tensor log_prob;
  /// Where each image looked at the integral, a fraction in [0, 1): for estimate_mean_by_place().
  at::Tensor place;
};

/// Computes the bound for each of `images`, [N, C, H, W]: uint8 pixels, or float32 values in the
/// model's scale. Both results are float64 [N], CPU. Labels are int64 [N] or undefined. Also for
/// models that predict noise. A denoising is one forward pass for them; for a classifier it is one
/// forward and one backward pass. `on_progress` is called with the number of images done. The
/// processes of `group` take batches in turn, and each of them returns all estimates.
DenoiserBound denoiser_bound(const Model& model, const BoundOptions& options,
                             const at::Tensor& images, const at::Tensor& labels,
                             const std::function<void(std::int64_t)>& on_progress = {},
                             const ProcessGroup& group = ProcessGroup::alone());

/// The mean of values [N] that depend on the images' places [N], such as DenoiserBound::log_prob,
/// or its difference from another score. Places are spread evenly over the integral, so how values
/// change along it adds no error to their mean. The standard error counts only the differences
/// between images at neighbouring places.
MeanEstimate estimate_mean_by_place(const at::Tensor& values, const at::Tensor& place);

/// Whether a schedule has levels with both image and noise. Without one, no denoising of the model
/// is in the bound.
bool has_levels_to_denoise(const NoiseSchedule& schedule);

/// What is wrong with a density whose bits/dim by one forward pass exceed those of its denoiser's
/// bound by `gap`, in one line: the gap is below 0, or above 0.1, with 95 % confidence. Else empty.
std::string warning_of_gap(const MeanEstimate& gap);

}  // namespace cdm
