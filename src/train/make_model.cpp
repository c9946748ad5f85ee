// SPDX-License-Identifier: MIT
#include "cdm/train/make_model.h"

#include <memory>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/data/augment.h"
#include "cdm/inference/evaluators.h"

namespace cdm {

NetworkShape network_shape(const RunConfig& config) {
  return {config.data.channels, config.data.image_size, NoiseSchedule(config.diffusion).levels(),
          augmentation_numbers(config.data)};
}

Model make_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                 const Precision& precision, std::uint64_t seed) {
  std::shared_ptr<Network> network = make_network(config.model, shape, seed);
  const NoiseSchedule schedule(config.diffusion);
  if (has_anchor(config.model)) {
    network->set_anchor(std::make_unique<Anchor>(schedule.signals(), schedule.sigmas()));
  }
  network->to(device, precision.type);
  if (precision.body != precision.type) {
    if (config.model.kind != NetworkKind::unet) {
      throw UserError(concat("precision bf16: is for the body of a UNet, and model.kind = ",
                             name_of(config.model.kind), " has none"));
    }
    network->set_body_type(precision.body);
  }
  return {std::move(network), schedule, evaluator_for(config, device)};
}

Model make_training_model(const RunConfig& config, const NetworkShape& shape, at::Device device,
                          at::ScalarType type) {
  const bool bf16 = arithmetic_for(config, Work::training, device) == Arithmetic::bf16;
  return make_model(config, shape, device, {type, bf16 ? at::kBFloat16 : type, false},
                    static_cast<std::uint64_t>(config.seed));
}

}  // namespace cdm
