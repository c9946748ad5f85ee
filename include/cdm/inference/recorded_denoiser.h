// SPDX-License-Identifier: MIT
// A model whose predictions of noise are recorded and replayed (recorded.h): for samplers.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cdm/config/config.h"
#include "cdm/device/recorded.h"
#include "cdm/diffusion/denoiser.h"

namespace cdm {

class RecordedDenoiser final : public Denoiser {
 public:
  /// For one thread at a time.
  RecordedDenoiser(std::shared_ptr<const Denoiser> model, MakeRecorder make_recorder);
  RecordedDenoiser(const RecordedDenoiser&) = delete;
  RecordedDenoiser& operator=(const RecordedDenoiser&) = delete;

  Network& network() const override { return model_->network(); }
  /// The model itself: densities are not recorded.
  const Classifier* as_classifier() const override { return model_->as_classifier(); }

 private:
  at::Tensor noise(const at::Tensor& x, const at::Tensor& t,
                   const at::Tensor& labels) const override;

  std::shared_ptr<const Denoiser> model_;
  mutable Recorded recorded_;
};

/// `model`, on a GPU recorded where the configuration says cuda_graphs.
std::shared_ptr<Denoiser> recorded_if_asked(std::shared_ptr<Denoiser> model,
                                            const RunConfig& config, at::Device device);

}  // namespace cdm
