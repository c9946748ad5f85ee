// SPDX-License-Identifier: MIT
#include "model/cast_parameters.h"

#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace cdm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CastTogether : public torch::autograd::Function<CastTogether> {
 public:
  // (Tensors in a std::vector would not be seen by autograd.)
  static variable_list forward(AutogradContext* context, at::TensorList tensors,
                               at::ScalarType type) {
    context->set_materialize_grads(false);
    context->saved_data["type"] = static_cast<std::int64_t>(tensors.front().scalar_type());
    variable_list cast;
    cast.reserve(tensors.size());
    for (const at::Tensor& tensor : tensors) {
      cast.push_back(at::empty_like(tensor, tensor.options().dtype(type)));
    }
    at::_foreach_copy_(cast, tensors);
    return cast;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list used;
    for (const at::Tensor& gradient : gradients) {
      if (gradient.defined()) used.push_back(gradient);
    }
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const variable_list cast = used.empty() ? used : cast_together(used, type);
    variable_list results(gradients.size() + 1);  // none for `type`
    auto next = cast.begin();
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].defined()) results[i] = *next++;
    }
    return results;
  }
};

thread_local const CastParameters* newest = nullptr;

}  // namespace

std::vector<at::Tensor> cast_together(const std::vector<at::Tensor>& tensors, at::ScalarType type) {
  return CastTogether::apply(at::TensorList(tensors), type);
}

CastParameters::CastParameters(const NamedTensors& parameters, at::ScalarType type)
    : parameters_(values_of(parameters)),
      cast_(cast_together(parameters_, type)),
      type_(type),
      before_(newest) {
  newest = this;
}

CastParameters::~CastParameters() { newest = before_; }

at::Tensor CastParameters::as(const at::Tensor& parameter, at::ScalarType type) {
  if (newest != nullptr && newest->type_ == type) {
    if (at::Tensor found = newest->find(parameter); found.defined()) return found;
  }
  return parameter.to(type);
}

at::Tensor CastParameters::find(const at::Tensor& parameter) const {
  for (std::size_t tried = 0; tried < parameters_.size(); ++tried) {
    const std::size_t i = (next_ + tried) % parameters_.size();
    if (parameters_[i].is_same(parameter)) {
      next_ = i + 1;
      return cast_[i];
    }
  }
  return {};
}

}  // namespace cdm
