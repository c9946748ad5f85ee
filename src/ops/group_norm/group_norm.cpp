// SPDX-License-Identifier: MIT
// Group normalisation with or without SiLU, shift and dropout as one twice-differentiable
// operation. For the gradients, only x, the parameters, two numbers per group (mean and rstd) and
// the dropout mask are kept. What lies between is computed again, which takes less time than
// storing and reading it.
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "ops/fused.h"
#include "ops/group_norm/passes.h"
#include "ops/kernel_call.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// An argument that autograd sees only where it is defined.
using Optional = std::optional<at::Tensor>;

Optional optional(const at::Tensor& tensor) {
  return tensor.defined() ? Optional(tensor) : std::nullopt;
}

const char* name(bool silu) { return silu ? "group_norm_silu" : "group_norm"; }

void save(AutogradContext& context, const NormCall& call, const at::Tensor& grad_y) {
  context.saved_data["silu"] = call.silu;
  context.saved_data["rate"] = call.dropout.rate;
  context.saved_data["layer"] = call.dropout.layer;
  context.save_for_backward({call.x, call.gamma, call.beta, call.shift, call.mean, call.rstd,
                             call.kept, call.dropout.rows, grad_y});
}

struct Saved {
  NormCall call;
  at::Tensor grad_y;
};

Saved saved_in(const AutogradContext& context) {
  const variable_list s = context.get_saved_variables();
  const Dropout dropout = {context.saved_data.at("rate").toDouble(), s[7],
                           context.saved_data.at("layer").toInt()};
  return {
      {s[0], s[1], s[2], s[3], context.saved_data.at("silu").toBool(), dropout, s[4], s[5], s[6]},
      s[8]};
}

/// The gradients of a BackwardResult that are there, in the order x, gamma and beta, shift. A
/// Function cannot return an undefined tensor.
variable_list list_of(const BackwardResult& result) {
  variable_list list = {result.x};
  if (result.gamma.defined()) list.insert(list.end(), {result.gamma, result.beta});
  if (result.shift.defined()) list.push_back(result.shift);
  return list;
}

/// The inverse of list_of(), for a list that begins at `begin`.
BackwardResult result_of(const variable_list& list, std::size_t begin, NormSums wanted) {
  BackwardResult result;
  result.x = list[begin++];
  if (wanted.parameters) {
    result.gamma = list[begin++];
    result.beta = list[begin++];
  }
  if (wanted.shift) result.shift = list[begin];
  return result;
}

/// group_norm_double_backward() as an autograd Function, so that differentiating its results is an
/// error. Without this, autograd would take the third derivative for zero.
struct DoubleBackward : Function<DoubleBackward> {
  // All but call and wanted are there for autograd.
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& /*x*/, const at::Tensor& /*gamma*/,
                               const at::Tensor& /*beta*/, const Optional& /*shift*/,
                               const Optional& v_x, const Optional& v_gamma, const Optional& v_beta,
                               const Optional& v_shift, const NormCall& call, NormSums wanted) {
    context->saved_data["silu"] = call.silu;
    const auto value = [](const Optional& v) { return v.value_or(at::Tensor()); };
    const DoubleBackwardResult result = group_norm_double_backward(
        call, grad_y, {value(v_x), value(v_gamma), value(v_beta), value(v_shift)}, wanted);
    variable_list list = list_of(result.to);
    list.insert(list.begin(), result.grad_y);
    return list;
  }

  static variable_list backward(AutogradContext* context, const variable_list& /*grads*/) {
    TORCH_CHECK(false, name(context->saved_data.at("silu").toBool()),
                " has no third derivative; operations = plain has one");
  }
};

/// The gradients with respect to x, gamma, beta and shift, as a function of grad_y and of these.
struct Backward : Function<Backward> {
  // x, gamma, beta and shift, which are also in the call, are there for autograd.
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& /*x*/, const at::Tensor& /*gamma*/,
                               const at::Tensor& /*beta*/, const Optional& /*shift*/,
                               const NormCall& call, NormSums wanted) {
    context->set_materialize_grads(false);
    context->saved_data["parameters"] = wanted.parameters;
    context->saved_data["shift"] = wanted.shift;
    save(*context, call, grad_y);
    return list_of(group_norm_backward(call, grad_y, wanted));
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const NormSums given = {context->saved_data.at("parameters").toBool(),
                            context->saved_data.at("shift").toBool()};
    const BackwardResult v = result_of(grads, 0, given);
    const auto [call, grad_y] = saved_in(*context);
    const NormSums wanted = {context->needs_input_grad(2) || context->needs_input_grad(3),
                             call.shift.defined() && context->needs_input_grad(4)};
    const variable_list list = DoubleBackward::apply(
        grad_y, call.x, call.gamma, call.beta, optional(call.shift), optional(v.x),
        optional(v.gamma), optional(v.beta), optional(v.shift), call, wanted);
    const BackwardResult to = result_of(list, 1, wanted);
    return {list[0], to.x, to.gamma, to.beta, to.shift, {}, {}};
  }
};

struct GroupNorm : Function<GroupNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gamma,
                            const at::Tensor& beta, const Optional& shift, std::int64_t groups,
                            double eps, bool silu, const Dropout& dropout) {
    context->set_materialize_grads(false);
    NormCall call = {x, gamma, beta, shift.value_or(at::Tensor()), silu, dropout, {}, {}, {}};
    const at::Tensor y = group_norm_forward(call, groups, eps);
    save(*context, call, {});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    variable_list out(8);
    if (!grads[0].defined()) return out;
    const NormCall call = saved_in(*context).call;
    const NormSums wanted = {context->needs_input_grad(1) || context->needs_input_grad(2),
                             call.shift.defined() && context->needs_input_grad(3)};
    const BackwardResult result = result_of(Backward::apply(grads[0], call.x, call.gamma, call.beta,
                                                            optional(call.shift), call, wanted),
                                            0, wanted);
    out[0] = result.x;
    out[1] = result.gamma;
    out[2] = result.beta;
    out[3] = result.shift;
    return out;
  }
};

}  // namespace

at::Tensor fused_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            std::int64_t groups, double eps, bool silu, const NormExtras& extras) {
  TORCH_CHECK(x.dim() == 4 && groups > 0 && x.size(1) % groups == 0, name(silu), ": x is ",
              x.sizes(), " with ", groups, " groups");
  const at::ScalarType type = sum_type(x.scalar_type());
  for (const at::Tensor& parameter : {weight, bias}) {
    TORCH_CHECK(
        parameter.dim() == 1 && parameter.size(0) == x.size(1) && parameter.scalar_type() == type,
        name(silu), ": x is ", x.sizes(), " of ", x.scalar_type(), " with a weight or bias ",
        parameter.sizes(), " of ", parameter.scalar_type());
  }
  const at::Tensor& shift = extras.shift;
  TORCH_CHECK(!shift.defined() || (shift.dim() == 2 && shift.size(1) == x.size(1) &&
                                   (shift.size(0) == 1 || shift.size(0) == x.size(0)) &&
                                   shift.scalar_type() == type),
              name(silu), ": x is ", x.sizes(), " of ", x.scalar_type(), " with a shift ",
              shift.sizes(), " of ", shift.scalar_type());
  return GroupNorm::apply(x, weight, bias, optional(shift), groups, eps, silu, extras.dropout);
}

}  // namespace cdm::ops
