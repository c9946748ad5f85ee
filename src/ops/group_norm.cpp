// SPDX-License-Identifier: MIT
// Group normalisation, alone or with SiLU, as one op on the CPU. Only x and two numbers per group
// are kept for the gradients; everything between is computed again, which costs less than reading
// it.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "fused.h"
#include "group_norm_kernels.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

const char* name(bool silu) { return silu ? "group_norm_silu" : "group_norm"; }

at::Tensor channels_last(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

/// Tensors of one call, laid out for the kernels. mean and rstd are [B, groups].
struct Call {
  at::Tensor x, gamma, beta, mean, rstd;
  bool silu;

  std::int64_t batch() const { return x.size(0); }
  NormShape shape() const { return {x.size(2) * x.size(3), x.size(1), mean.size(1), silu}; }
  std::int64_t image() const { return x.size(1) * x.size(2) * x.size(3); }

  template <class T>
  NormInput<T> input(std::int64_t n) const {
    const std::int64_t groups = mean.size(1);
    return {x.const_data_ptr<T>() + n * image(), gamma.const_data_ptr<T>(),
            beta.const_data_ptr<T>(), mean.mutable_data_ptr<T>() + n * groups,
            rstd.mutable_data_ptr<T>() + n * groups};
  }
};

Call call_of(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
             const at::Tensor& mean, const at::Tensor& rstd, bool silu) {
  return {channels_last(x), gamma.contiguous(), beta.contiguous(), mean, rstd, silu};
}

/// Calls body(T{}, n, scratch) for every image, in the call's type and on all threads.
template <class Body>
void for_each_image(const Call& call, const Body& body) {
  const auto run = [&]<class T>(T) {
    at::parallel_for(0, call.batch(), 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<T> scratch(static_cast<std::size_t>(kScratchArrays * call.x.size(1)));
      for (std::int64_t n = begin; n < end; ++n) body(T{}, n, scratch.data());
    });
  };
  if (call.x.scalar_type() == at::kFloat) {
    run(float{});
  } else {
    run(double{});
  }
}

struct Gradients {
  at::Tensor x, gamma, beta;
};

Gradients first_gradient(const Call& call, const at::Tensor& grad_y) {
  const at::Tensor gy = channels_last(grad_y);
  const std::int64_t C = call.x.size(1);
  const at::Tensor grad_x = at::empty_like(call.x);
  const at::Tensor grad_gamma = at::empty({call.batch(), C}, call.x.options());
  const at::Tensor grad_beta = at::empty({call.batch(), C}, call.x.options());
  for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
    const NormGradient<T> out = {
        gy.const_data_ptr<T>() + n * call.image(), grad_x.mutable_data_ptr<T>() + n * call.image(),
        grad_gamma.mutable_data_ptr<T>() + n * C, grad_beta.mutable_data_ptr<T>() + n * C};
    norm_backward(call.shape(), call.input<T>(n), scratch, out);
  });
  return {grad_x, grad_gamma.sum(0), grad_beta.sum(0)};
}

/// The derivatives of sum(v_x grad_x) + sum(v_gamma grad_gamma) + sum(v_beta grad_beta) by grad_y,
/// x, gamma and beta.
variable_list second_gradient(const Call& call, const at::Tensor& grad_y, const at::Tensor& v_x,
                              const at::Tensor& v_gamma, const at::Tensor& v_beta) {
  const std::int64_t C = call.x.size(1);
  const at::Tensor gy = channels_last(grad_y);
  const at::Tensor vx = channels_last(v_x);
  const at::Tensor vg = v_gamma.contiguous();
  const at::Tensor vb = v_beta.contiguous();
  const at::Tensor to_grad_y = at::empty_like(call.x);
  const at::Tensor to_x = at::empty_like(call.x);
  const at::Tensor to_gamma = at::empty({call.batch(), C}, call.x.options());
  const at::Tensor to_beta = at::empty({call.batch(), C}, call.x.options());
  for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
    const std::int64_t offset = n * call.image();
    const NormSecondGradient<T> out = {gy.const_data_ptr<T>() + offset,
                                       vx.const_data_ptr<T>() + offset,
                                       vg.const_data_ptr<T>(),
                                       vb.const_data_ptr<T>(),
                                       to_grad_y.mutable_data_ptr<T>() + offset,
                                       to_x.mutable_data_ptr<T>() + offset,
                                       to_gamma.mutable_data_ptr<T>() + n * C,
                                       to_beta.mutable_data_ptr<T>() + n * C};
    norm_double_backward(call.shape(), call.input<T>(n), scratch, out);
  });
  return {to_grad_y, to_x, to_gamma.sum(0), to_beta.sum(0)};
}

/// second_gradient as an op, so that whoever differentiates its results is told, instead of getting
/// a zero.
struct SecondGradient : Function<SecondGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                               const at::Tensor& mean, const at::Tensor& rstd,
                               const at::Tensor& v_x, const at::Tensor& v_gamma,
                               const at::Tensor& v_beta, bool silu) {
    context->saved_data["silu"] = silu;
    return second_gradient(call_of(x, gamma, beta, mean, rstd, silu), grad_y, v_x, v_gamma, v_beta);
  }

  static variable_list backward(AutogradContext* context, const variable_list& /*grads*/) {
    TORCH_CHECK(false, name(context->saved_data.at("silu").toBool()),
                " has no third derivative; CDM_OPS=reference has one");
  }
};

/// The gradients (of x, gamma, beta) as a function of grad_y, x, gamma and beta.
struct FirstGradient : Function<FirstGradient> {
  static variable_list forward(AutogradContext* context, const at::Tensor& grad_y,
                               const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                               const at::Tensor& mean, const at::Tensor& rstd, bool silu) {
    context->saved_data["silu"] = silu;
    context->save_for_backward({grad_y, x, gamma, beta, mean, rstd});
    const Gradients g = first_gradient(call_of(x, gamma, beta, mean, rstd, silu), grad_y);
    return {g.x, g.gamma, g.beta};
  }

  static variable_list backward(AutogradContext* context, const variable_list& v) {
    const variable_list s = context->get_saved_variables();
    variable_list out = SecondGradient::apply(s[0], s[1], s[2], s[3], s[4], s[5], v[0], v[1], v[2],
                                              context->saved_data.at("silu").toBool());
    out.resize(7);
    return out;
  }
};

struct GroupNorm : Function<GroupNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gamma,
                            const at::Tensor& beta, std::int64_t groups, double eps, bool silu) {
    const auto statistics = [&] { return at::empty({x.size(0), groups}, x.options()); };
    const Call call = call_of(x, gamma, beta, statistics(), statistics(), silu);
    const at::Tensor y = at::empty_like(call.x);
    for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
      norm_forward(call.shape(), call.input<T>(n), eps, scratch,
                   y.mutable_data_ptr<T>() + n * call.image());
    });
    context->saved_data["silu"] = silu;
    context->save_for_backward({x, gamma, beta, call.mean, call.rstd});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    variable_list out =
        FirstGradient::apply(grads[0], saved[0], saved[1], saved[2], saved[3].detach(),
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
