// SPDX-License-Identifier: MIT
#include "cdm/model/parameter_role.h"

#include <array>
#include <string_view>

namespace cdm {
namespace {

template <std::size_t N>
bool begins_with_one_of(const std::array<std::string_view, N>& layers, std::string_view name) {
  for (const std::string_view layer : layers) {
    if (name.starts_with(layer)) return true;
  }
  return false;
}

constexpr std::array<std::string_view, 2> kFirst = {"conv_in.", "hidden.0."};
constexpr std::array<std::string_view, 4> kLast = {"conv_out.", "conv_inner.", "linear_layer.",
                                                   "noise_layer."};

}  // namespace

ParameterRole role_of(const std::string& name, const at::Tensor& value) {
  if (value.dim() < 2) return ParameterRole::vector;
  if (name == "label_emb.weight" || name == "augment_emb.weight") return ParameterRole::embedding;
  if (begins_with_one_of(kFirst, name)) return ParameterRole::first;
  if (begins_with_one_of(kLast, name)) return ParameterRole::last;
  return ParameterRole::hidden;
}

}  // namespace cdm
