// SPDX-License-Identifier: MIT
// What samplers need of a model: the noise in an image, at each level of a schedule.
//
// Throughout: x is [B, C, H, W]; t is int64 [B], levels in 0..K-1; labels are int64 [B], or
// undefined for an unconditional network. Undefined labels mean the null class for a conditional
// one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cdm/diffusion/schedule.h"
#include "cdm/model/network.h"

namespace cdm {

class Classifier;

class Denoiser {
 public:
  virtual ~Denoiser() = default;

  const NoiseSchedule& schedule() const { return schedule_; }
  virtual Network& network() const = 0;

  /// eps(x, t), [B, C, H, W], detached. With guidance w, (1 + w) eps(x, t, labels) - w eps(x, t,
  /// null).
  at::Tensor predict_noise(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels = {},
                           double guidance = 0.0) const;

  /// The same model as a classifier, which knows densities; null for a plain denoiser.
  virtual const Classifier* as_classifier() const { return nullptr; }

 protected:
  explicit Denoiser(NoiseSchedule schedule) : schedule_(std::move(schedule)) {}
  Denoiser(const Denoiser&) = default;
  Denoiser(Denoiser&&) = default;
  Denoiser& operator=(const Denoiser&) = default;
  Denoiser& operator=(Denoiser&&) = default;

  /// eps(x, t) without guidance, detached.
  virtual at::Tensor noise(const at::Tensor& x, const at::Tensor& t,
                           const at::Tensor& labels) const = 0;

  /// `labels`, or null labels where a conditional network is given none.
  at::Tensor labels_or_null(const at::Tensor& x, const at::Tensor& labels) const;

  NoiseSchedule schedule_;
};

/// A plain denoiser, without a density: the network predicts the noise (Ho et al., 2020).
class NoisePredictor final : public Denoiser {
 public:
  /// The network is on its device and in its type by now.
  NoisePredictor(std::shared_ptr<NoiseNetwork> network, NoiseSchedule schedule);

  Network& network() const override { return *network_; }

  /// eps(x, t), differentiable. Dropout acts where `masks` are given.
  at::Tensor noise_with_graph(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels,
                              DropoutMasks* masks = nullptr) const;

 private:
  at::Tensor noise(const at::Tensor& x, const at::Tensor& t,
                   const at::Tensor& labels) const override;

  std::shared_ptr<NoiseNetwork> network_;
};

/// A Classifier or a NoisePredictor, whichever the network is made for.
std::shared_ptr<Denoiser> make_denoiser(std::shared_ptr<Network> network, NoiseSchedule schedule);

}  // namespace cdm
