// SPDX-License-Identifier: MIT
// Attention between the pixels of an image as one twice-differentiable operation. Queries, keys and
// values are the columns Q, K, V of one matrix [pixels, 3C], which channels_last images are, so
// that every matrix product reads and writes parts of such matrices where they lie. ATen's
// derivatives of the products give gradients in other layouts, which have to be copied and added.
//
// With P = softmax(scale Q K'), where ' transposes, the value is P V. The gradient for grad_y is
//   dV = P' grad_y,  dP = grad_y V',  dS = scale P (dP - <P, dP>) by rows,  dQ = dS K,  dK = dS' Q.
// Its own derivative, with cotangents u, v, w of dQ, dK, dV: dS and P have the derivatives
//   A = u K' + Q v'  and  G = grad_y w';
// launch.h has what follows for dP and S, here B and E. Then
//   to grad_y: B V + P w,  to Q: dS v + E K,  to K: dS' u + E' Q,  to V: B' grad_y.
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "ops/attention/rows.h"
#include "ops/fused.h"

namespace cdm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// x [B, C, H, W] as a matrix [B, H * W, C]; a view where x is channels_last.
at::Tensor matrix(const at::Tensor& x) {
  const at::Tensor pixels = x.permute({0, 2, 3, 1}).contiguous();
  return pixels.view({x.size(0), x.size(2) * x.size(3), x.size(1)});
}

/// The reverse, for an image as large as `like`.
at::Tensor image(const at::Tensor& matrix, const at::Tensor& like) {
  return matrix.view({like.size(0), like.size(2), like.size(3), matrix.size(2)})
      .permute({0, 3, 1, 2});
}

at::Tensor transposed(const at::Tensor& matrix) { return matrix.transpose(1, 2); }

/// The three parts of a matrix [B, N, 3C].
struct Parts {
  explicit Parts(const at::Tensor& all)
      : width(all.size(2) / 3),
        q(all.narrow(2, 0, width)),
        k(all.narrow(2, width, width)),
        v(all.narrow(2, 2 * width, width)) {}

  std::int64_t width;
  at::Tensor q, k, v;
};

double scale_of(const Parts& parts) { return 1.0 / std::sqrt(static_cast<double>(parts.width)); }

/// out = a b + c d
void sum_of_products(at::Tensor out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& c,
                     const at::Tensor& d) {
  at::bmm_out(out, a, b);
  out.baddbmm_(c, d);
}

/// An error instead of a third derivative, which autograd would take for zero.
struct DoubleBackward : Function<DoubleBackward> {
  static variable_list forward(AutogradContext* /*context*/, const at::Tensor& grad_y,
                               const at::Tensor& qkv, const at::Tensor& p, const at::Tensor& grad_s,
                               const at::Tensor& cotangent) {
    const Parts x(matrix(qkv));
    const Parts c(matrix(cotangent));
    const at::Tensor gy = matrix(grad_y);
    const at::Tensor a = at::empty_like(p);
    sum_of_products(a, c.q, transposed(x.k), x.q, transposed(c.k));
    const at::Tensor g = at::bmm(gy, transposed(c.v));
    const auto [b, e] = softmax_rows_second(p, grad_s, a, g, scale_of(x));

    const at::Tensor to_grad_y = at::empty_like(gy);
    sum_of_products(to_grad_y, b, x.v, p, c.v);
    const at::Tensor to_qkv = at::empty({gy.size(0), gy.size(1), 3 * x.width}, gy.options());
    const Parts to(to_qkv);
    sum_of_products(to.q, grad_s, c.k, e, x.k);
    sum_of_products(to.k, transposed(grad_s), c.q, transposed(e), x.q);
    at::Tensor to_v = to.v;
    at::bmm_out(to_v, transposed(b), gy);
    return {image(to_grad_y, qkv), image(to_qkv, qkv)};
  }

  static variable_list backward(AutogradContext* /*context*/, const variable_list& /*grads*/) {
    TORCH_CHECK(false, "attention has no third derivative; operations = plain has one");
  }
};

struct Backward : Function<Backward> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& grad_y,
                            const at::Tensor& qkv, const at::Tensor& p) {
    const Parts x(matrix(qkv));
    const at::Tensor gy = matrix(grad_y);
    const at::Tensor grad_s = softmax_rows_gradient(p, at::bmm(gy, transposed(x.v)), scale_of(x));
    const at::Tensor to_qkv = at::empty({gy.size(0), gy.size(1), 3 * x.width}, gy.options());
    Parts to(to_qkv);
    at::bmm_out(to.q, grad_s, x.k);
    at::bmm_out(to.k, transposed(grad_s), x.q);
    at::bmm_out(to.v, transposed(p), gy);
    context->save_for_backward({grad_y, qkv, p, grad_s});
    return image(to_qkv, qkv);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    variable_list out = DoubleBackward::apply(saved[0], saved[1], saved[2], saved[3], grads[0]);
    out.resize(3);
    return out;
  }
};

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv) {
    const Parts x(matrix(qkv));
    const at::Tensor p = softmax_rows(at::bmm(x.q, transposed(x.k)), scale_of(x));
    context->save_for_backward({qkv, p});
    return image(at::bmm(p, x.v), qkv);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    return {Backward::apply(grads[0], saved[0], saved[1].detach())};
  }
};

}  // namespace

at::Tensor fused_attention(const at::Tensor& qkv) {
  TORCH_CHECK(qkv.dim() == 4 && qkv.size(1) % 3 == 0, "attention: q, k and v are ", qkv.sizes());
  return Attention::apply(qkv);
}

}  // namespace cdm::ops
