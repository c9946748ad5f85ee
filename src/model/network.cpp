// SPDX-License-Identifier: MIT
#include "cdm/model/network.h"

#include <c10/core/GradMode.h>

#include <unordered_map>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/model/ddm_unet.h"
#include "cdm/model/mlp.h"
#include "cdm/model/unet.h"

namespace cdm {

at::Tensor ClassifierNetwork::logits(const at::Tensor& images, const at::Tensor& labels,
                                     DropoutMasks* masks) const {
  return head(images, labels, masks).cumsum(1);
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : parameters_) count += tensor.numel();
  return count;
}

at::ScalarType Network::body_type() const {
  return body_type_ == at::ScalarType::Undefined ? parameters_.front().second.scalar_type()
                                                 : body_type_;
}

void Network::set_requires_grad(bool requires_grad) {
  for (auto& [name, tensor] : parameters_) tensor.requires_grad_(requires_grad);
}

void Network::to(at::Device device, at::ScalarType type) {
  // set_data changes the tensor that layers hold, too.
  for (auto& [name, tensor] : parameters_) {
    // Convolutions run faster, and need no copies, when pixels hold their channels side by side.
    const auto format =
        tensor.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    tensor.set_data(tensor.detach().to(device, type).contiguous(format));
  }
}

void Network::load(const NamedTensors& weights, const std::string& source) {
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
  const c10::NoGradGuard no_grad;
  std::unordered_map<std::string, at::Tensor> values(weights.begin(), weights.end());
  for (auto& [name, tensor] : parameters_) tensor.copy_(values.at(name));
}

std::unique_ptr<Network> make_network(const ModelConfig& config, const NetworkShape& shape,
                                      std::uint64_t seed) {
  const bool predicts_noise = config.predicts == Prediction::noise;
  switch (config.kind) {
    case NetworkKind::unet:
      if (predicts_noise) return std::make_unique<DdmUNet>(config, shape, seed);
      return std::make_unique<UNet>(config, shape, seed);
    case NetworkKind::mlp:
      if (predicts_noise) throw UserError("model.predicts = noise: model.kind must be unet");
      return std::make_unique<Mlp>(config, shape, seed);
  }
  TORCH_CHECK(false, "no such kind of network");
}

}  // namespace cdm
