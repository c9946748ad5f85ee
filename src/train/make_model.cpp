// SPDX-License-Identifier: MIT
#include "cdm/train/make_model.h"

#include <utility>

#include "cdm/core/error.h"

namespace cdm {

std::shared_ptr<Denoiser> make_model(const RunConfig& config, const NetworkShape& shape,
                                     at::Device device, const Precision& precision,
                                     std::uint64_t seed) {
  std::shared_ptr<Network> network = make_network(config.model, shape, seed);
  network->to(device, precision.type);
  if (precision.body != precision.type) {
    if (config.model.kind == NetworkKind::mlp) {
      throw UserError("precision bf16: is for the body of a UNet, and model.kind = mlp has none");
    }
    network->set_body_type(precision.body);
  }
  return make_denoiser(std::move(network), NoiseSchedule(config.diffusion));
}

}  // namespace cdm
