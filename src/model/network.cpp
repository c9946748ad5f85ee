// SPDX-License-Identifier: MIT
#include "cdm/model/network.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <optional>
#include <unordered_map>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/model/mlp.h"
#include "cdm/model/unet.h"
#include "model/cast_parameters.h"

namespace cdm {

at::Tensor Network::operator()(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                               DropoutMasks* masks) const {
  std::optional<CastParameters> cast;
  if (casts_together_ && body_type_ != at::ScalarType::Undefined &&
      body_type_ != options().dtype()) {
    cast.emplace(parameters_, body_type_);
  }
  Condition all = given;
  if (is_conditional() && !given.labels.defined()) {
    all.labels = at::full({x.size(0)}, null_class(), x.options().dtype(at::kLong));
  }
  if (shape_.augmentations > 0) {
    all.told = given.told.defined() ? given.told.to(x.scalar_type())
                                    : at::zeros({x.size(0), shape_.augmentations}, x.options());
  }
  const at::Tensor prediction = forward(x, t, all, masks);
  return anchor_ ? prediction + (*anchor_)(x).to(prediction.scalar_type()) : prediction;
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : parameters_) count += tensor.numel();
  return count;
}

NamedTensors Network::state() const {
  NamedTensors state = parameters_;
  if (anchor_) {
    const NamedTensors& statistics = anchor_->statistics();
    state.insert(state.end(), statistics.begin(), statistics.end());
  }
  return state;
}

at::TensorOptions Network::options() const {
  const at::Tensor& first = parameters_.front().second;
  return at::TensorOptions().dtype(first.dtype()).device(first.device());
}

at::ScalarType Network::body_type() const {
  return body_type_ == at::ScalarType::Undefined ? parameters_.front().second.scalar_type()
                                                 : body_type_;
}

void Network::set_requires_grad(bool requires_grad) {
  for (auto& [name, tensor] : parameters_) tensor.requires_grad_(requires_grad);
}

void Network::to(at::Device device, at::ScalarType type) {
  // The layers hold the same tensors, and set_data changes them in place.
  for (auto& [name, tensor] : parameters_) {
    // Convolutions are faster, and copy nothing, when weights and images are channels_last.
    const auto format =
        tensor.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    tensor.set_data(tensor.detach().to(device, type).contiguous(format));
  }
  if (anchor_) anchor_->to(device);
}

void Network::load(const NamedTensors& state, const std::string& source) {
  NamedTensors weights, statistics;
  for (const auto& entry : state) {
    (anchor_ && entry.first.starts_with(Anchor::kPrefix) ? statistics : weights).push_back(entry);
  }
  std::unordered_map<std::string, at::Tensor> by_name(weights.begin(), weights.end());
  std::vector<std::string> faults;
  for (const auto& [name, tensor] : parameters_) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      faults.push_back(concat(name, " is missing"));
    } else if (found->second.sizes() != tensor.sizes()) {
      faults.push_back(concat(name, " is ", found->second.sizes(), " instead of ", tensor.sizes()));
    }
    by_name.erase(name);
  }
  for (const auto& [name, tensor] : weights) {
    if (by_name.contains(name)) faults.push_back(concat(name, " does not belong to the network"));
  }
  if (!faults.empty()) {
    constexpr std::size_t kShown = 5;
    const std::size_t total = faults.size();
    faults.resize(std::min(total, kShown));
    throw UserError(concat(source,
                           ": the weights do not fit the configured network: ", join(faults, "; "),
                           total > kShown ? concat("; and ", total - kShown, " more") : ""));
  }
  if (anchor_) anchor_->load(statistics, source);
  const c10::NoGradGuard no_grad;
  std::unordered_map<std::string, at::Tensor> values(weights.begin(), weights.end());
  for (auto& [name, tensor] : parameters_) tensor.copy_(values.at(name));
}

ModelConfig settle_resolutions(ModelConfig config, std::int64_t image_size) {
  if (config.kind != NetworkKind::unet || !config.channel_mult.empty()) return config;
  constexpr std::size_t kMostResolutions = 4;
  config.channel_mult = {1};
  for (std::int64_t size = image_size;
       size > 0 && size % 2 == 0 && config.channel_mult.size() < kMostResolutions; size /= 2) {
    config.channel_mult.push_back(2);
  }
  return config;
}

std::unique_ptr<Network> make_network(const ModelConfig& config, const NetworkShape& shape,
                                      std::uint64_t seed) {
  switch (config.kind) {
    case NetworkKind::unet:
      return std::make_unique<UNet>(settle_resolutions(config, shape.image_size), shape, seed);
    case NetworkKind::mlp:
      return std::make_unique<Mlp>(config, shape, seed);
  }
  TORCH_CHECK(false, "model.kind is none of the network kinds");
}

}  // namespace cdm
