// SPDX-License-Identifier: MIT
#include "cdm/weights/import_weights.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cdm/core/error.h"
#include "cdm/core/tensors.h"
#include "cdm/core/text.h"
#include "cdm/model/anchor.h"
#include "cdm/train/make_model.h"
#include "cdm/train/optimizer.h"

namespace cdm {
namespace {

/// The weight with that name and number of dimensions; undefined when there is none.
at::Tensor find(const NamedTensors& weights, const std::string& name, std::int64_t dimensions) {
  const at::Tensor found = find_tensor(weights, name);
  return found.defined() && found.dim() == dimensions ? found : at::Tensor();
}

/// Width and height, in pixels, of a data set whose images all have one size; 0 for others.
std::int64_t only_image_size(DataKind kind) {
  switch (kind) {
    case DataKind::fashion_mnist:
    case DataKind::mnist:
    case DataKind::emnist:
      return 28;
    case DataKind::cifar10:
    case DataKind::cifar100:
      return 32;
    case DataKind::celeba:
    case DataKind::npz:
    case DataKind::image_folder:
    case DataKind::image_archive:
    case DataKind::toy:
      break;
  }
  return 0;
}

NamedTensors fit(Network& network, const NamedTensors& tensors, const std::string& source) {
  network.load(tensors, source);
  NamedTensors out;
  for (const auto& [name, tensor] : network.parameters()) out.emplace_back(name, tensor.clone());
  return out;
}

}  // namespace

RunConfig fit_to_weights(const RunConfig& config, const NamedTensors& weights,
                         const std::string& source) {
  RunConfig fitted = config;
  if (has_anchor(config.model)) {
    throw UserError(concat(source,
                           ": the authors' format has no anchor: model.anchor must be none, not ",
                           name_of(config.model.anchor)));
  }
  if (config.data.augment > 0.0 && !find(weights, "augment_emb.weight", 2).defined()) {
    throw UserError(concat(source,
                           ": its network is not told how images were augmented: "
                           "data.augment must be 0, not ",
                           config.data.augment));
  }
  if (config.data.image_size == 0) {
    fitted.data.image_size = only_image_size(config.data.kind);
  }
  if (fitted.data.image_size == 0) {
    throw UserError(concat(source,
                           ": the weights do not tell the size of the images: the configuration "
                           "must give data.image_size"));
  }
  fitted.model = settle_resolutions(fitted.model, fitted.data.image_size);
  if (const at::Tensor in = find(weights, "conv_in.weight", 4);
      in.defined() && config.data.channels == 0) {
    fitted.data.channels = in.size(1);
  }
  const at::Tensor classes = find(weights, "label_emb.weight", 2);
  if (const std::int64_t known = classes.defined() ? classes.size(0) - 1 : 0;
      known != config.model.num_classes) {
    throw UserError(concat(source, ": its label_emb.weight ",
                           classes.defined() ? "has a row for each class and the null class"
                                             : "is missing, so it is unconditional",
                           ": model.num_classes must be ", known, ", not ",
                           config.model.num_classes));
  }
  if (const at::Tensor head = find(weights, "linear_layer.weight", 2); head.defined()) {
    const std::int64_t missing = head.size(0) - NoiseSchedule(config.diffusion).levels();
    if (missing != 0) {
      throw UserError(concat(source, ": linear_layer.weight is for ", head.size(0),
                             " noise levels: diffusion.steps must be ",
                             config.diffusion.steps + missing, ", not ", config.diffusion.steps));
    }
    if (config.model.kind == NetworkKind::unet && config.model.head_channels == 0) {
      const std::int64_t usual = 2 * config.model.channels * fitted.model.channel_mult.front();
      const bool inner = config.model.head == HeadKind::pooled_inner;
      const std::int64_t pooled = head.size(1) - (inner ? config.model.inner_features : 0);
      if (pooled != usual) fitted.model.head_channels = pooled;
    }
  }
  return fitted;
}

TrainingState fit_to_network(const RunConfig& config, const TrainingState& checkpoint,
                             const std::string& source) {
  if (config.train.optimizer == OptimizerKind::muon) {
    throw UserError(concat(source,
                           ": train.optimizer = muon: the authors' format holds the state "
                           "of Adam for all weights"));
  }
  const std::unique_ptr<Network> network = make_network(config.model, network_shape(config), 0);
  TrainingState fitted = checkpoint;
  for (NamedTensors* const tensors :
       {&fitted.model, &fitted.ema, &fitted.exp_avg, &fitted.exp_avg_sq}) {
    *tensors = fit(*network, *tensors, source);
  }
  // A checkpoint that comes from elsewhere has one average, with which the others begin.
  const auto others = static_cast<std::size_t>(average_count(config.train) - 1);
  fitted.more_emas.resize(others, fitted.ema);
  for (NamedTensors& average : fitted.more_emas) average = fit(*network, average, source);
  return fitted;
}

}  // namespace cdm
