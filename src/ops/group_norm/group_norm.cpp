// SPDX-License-Identifier: MIT
// Group normalisation with or without SiLU as one twice-differentiable operation. For the
// gradients, only x, gamma, beta and two numbers per group (mean and rstd) are kept. What lies
// between is computed again, which takes less time than storing and reading it.
#include <torch/csrc/autograd/custom_function.h>

#include "ops/fused.h"
#include "ops/group_norm/passes.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

const char* name(bool silu) { return silu ? "group_norm_silu" : "group_norm"; }

/// group_norm_double_backward() as an autograd Function, so that differentiating its results is an
/// error. Without this, autograd would take the third derivative for zero.
struct DoubleBackward : Function<DoubleBackward> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                               const at::Tensor& mean, const at::Tensor& rstd,
                               const at::Tensor& v_x, const at::Tensor& v_gamma,
                               const at::Tensor& v_beta, bool silu) {
    context->saved_data["silu"] = silu;
    const DoubleBackwardResult g = group_norm_double_backward({x, gamma, beta, mean, rstd, silu},
                                                              grad_y, v_x, v_gamma, v_beta);
    return {g.to_grad_y, g.to_x, g.to_gamma, g.to_beta};
  }

  static variable_list backward(AutogradContext* context, const variable_list& /*grads*/) {
    TORCH_CHECK(false, name(context->saved_data.at("silu").toBool()),
                " has no third derivative; operations = plain has one");
  }
};

/// The gradients with respect to x, gamma and beta, as a function of grad_y, x, gamma and beta.
struct Backward : Function<Backward> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                               const at::Tensor& mean, const at::Tensor& rstd, bool silu) {
    context->saved_data["silu"] = silu;
    context->save_for_backward({grad_y, x, gamma, beta, mean, rstd});
    const BackwardResult g = group_norm_backward({x, gamma, beta, mean, rstd, silu}, grad_y);
    return {g.x, g.gamma, g.beta};
  }

  static variable_list backward(AutogradContext* context, const variable_list& v) {
    const variable_list s = context->get_saved_variables();
    variable_list out = DoubleBackward::apply(s[0], s[1], s[2], s[3], s[4], s[5], v[0], v[1], v[2],
                                              context->saved_data.at("silu").toBool());
    out.resize(7);
    return out;
  }
};

struct GroupNorm : Function<GroupNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gamma,
                            const at::Tensor& beta, std::int64_t groups, double eps, bool silu) {
    const ForwardResult value = group_norm_forward(x, gamma, beta, groups, eps, silu);
    context->saved_data["silu"] = silu;
    context->save_for_backward({x, gamma, beta, value.mean, value.rstd});
    return value.y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    variable_list out = Backward::apply(grads[0], saved[0], saved[1], saved[2], saved[3].detach(),
                                        saved[4].detach(), context->saved_data.at("silu").toBool());
    out.resize(6);
    return out;
  }
};

}  // namespace

at::Tensor fused_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            std::int64_t groups, double eps, bool silu) {
  TORCH_CHECK(x.dim() == 4 && groups > 0 && x.size(1) % groups == 0, name(silu), ": x is ",
              x.sizes(), " with ", groups, " groups");
  for (const at::Tensor& parameter : {weight, bias}) {
    TORCH_CHECK(parameter.dim() == 1 && parameter.size(0) == x.size(1) &&
                    parameter.scalar_type() == x.scalar_type(),
                name(silu), ": x is ", x.sizes(), " of ", x.scalar_type(),
                " with a weight or bias ", parameter.sizes(), " of ", parameter.scalar_type());
  }
  return GroupNorm::apply(x, weight, bias, groups, eps, silu);
}

}  // namespace cdm::ops
