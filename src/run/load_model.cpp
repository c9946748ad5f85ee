// SPDX-License-Identifier: MIT
#include "cdm/run/load_model.h"

#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/device/precision.h"
#include "cdm/run/checkpoint.h"
#include "cdm/run/start_device.h"
#include "cdm/train/make_model.h"

namespace cdm {

const Density& LoadedModel::density() const {
  if (model.has_density()) return model.density();
  throw UserError(concat(files.checkpoint.string(),
                         ": model.predicts = ", name_of(config.model.predicts),
                         ": it is a plain denoiser, which has no density"));
}

LoadedModel load_model(const LoadOptions& options) {
  const ModelFiles files = find_model(options.path);
  RunConfig config = load_config(files, options.overrides);
  const auto changed = changed_keys(load_config(files), config);
  if (!options.device.empty()) config.device = options.device;
  if (options.precision) config.precision = *options.precision;
  if (config.data.image_size == 0 || config.data.channels == 0) {
    throw UserError(concat(files.config.string(),
                           ": data.image_size and data.channels must be those of the model's "
                           "images, not 0; cdm-train writes them"));
  }
  const auto [device, arithmetic] = start_device(config, options.work, options.local_rank);
  Model model = make_model(config, network_shape(config), device, precision_of(arithmetic), 0);
  model.network().load(read_weights(files.checkpoint, options.weights), files.checkpoint.string());
  return {config, files, std::move(model), arithmetic, changed};
}

}  // namespace cdm
