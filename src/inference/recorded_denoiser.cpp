// SPDX-License-Identifier: MIT
#include "cdm/inference/recorded_denoiser.h"

#include <utility>

namespace cdm {

RecordedDenoiser::RecordedDenoiser(std::shared_ptr<const Denoiser> model,
                                   MakeRecorder make_recorder)
    : Denoiser(model->schedule()),
      model_(std::move(model)),
      recorded_(
          [this](const Recorded::Tensors& in) -> Recorded::Tensors {
            return {model_->predict_noise(in[0], in[1], in[2])};
          },
          std::move(make_recorder)) {}

at::Tensor RecordedDenoiser::noise(const at::Tensor& x, const at::Tensor& t,
                                   const at::Tensor& labels) const {
  const at::Tensor eps = recorded_({x, t, labels})[0];
  return recorded_.replayed() ? eps.clone() : eps;  // samplers remember that of the step before
}

std::shared_ptr<Denoiser> recorded_if_asked(std::shared_ptr<Denoiser> model,
                                            const RunConfig& config, at::Device device) {
  if (!config.cuda_graphs || !device.is_cuda()) return model;
  return std::make_shared<RecordedDenoiser>(std::move(model), cuda_graphs(device));
}

}  // namespace cdm
