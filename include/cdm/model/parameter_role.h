// SPDX-License-Identifier: MIT
// What a parameter of a network does, for rules that treat some parameters in another way.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace cdm {

enum class ParameterRole {
  vector,     // a bias, or the scale or shift of a normalisation: one number per channel
  embedding,  // of classes, or of how images were augmented
  first,      // the matrix or convolution kernel that takes the images
  hidden,     // any other matrix or convolution kernel
  last,       // those after the last non-linear function, which give the prediction
};

/// The role of the parameter `value` with that name, in any network of model/network.h.
ParameterRole role_of(const std::string& name, const at::Tensor& value);

}  // namespace cdm
