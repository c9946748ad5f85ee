// SPDX-License-Identifier: MIT
#include <ATen/Parallel.h>

#include <vector>

#include "ops/dropout_mask.h"
#include "ops/group_norm/batches.h"
#include "ops/group_norm/loops.h"

namespace cdm::ops {
namespace {

/// Calls body(T{}, n, scratch) for every image n, on all threads. T is the type of the call's x.
template <class Body>
void for_each_image(const NormCall& call, const Body& body) {
  const auto run = [&]<class T>(T) {
    at::parallel_for(0, call.x.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
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

template <class T>
T* moved(T* array, std::int64_t distance) {
  return array == nullptr ? nullptr : array + distance;
}

/// The factors of dropout for image n.
template <class T>
const T* kept_of(const NormCall& call, NormShape s, std::int64_t n) {
  return moved(norm_data<T>(call.kept), n * s.pixels * s.channels);
}

// The part of a batch's arrays that belongs to image n.

template <class T>
NormInput<T> image_of(const NormInput<T>& all, NormShape s, std::int64_t n) {
  return {all.x + n * s.pixels * s.channels,
          moved(all.shift, n * all.shift_stride),
          0,
          all.gamma,
          all.beta,
          all.mean + n * s.groups,
          all.rstd + n * s.groups};
}

template <class T>
NormBackward<T> image_of(const NormBackward<T>& all, NormShape s, std::int64_t n) {
  const std::int64_t first = n * s.pixels * s.channels;
  const std::int64_t sums = n * s.channels;
  return {all.grad_y + first, all.grad_x + first, all.grad_gamma + sums, all.grad_beta + sums,
          moved(all.grad_shift, sums)};
}

template <class T>
NormDoubleBackward<T> image_of(const NormDoubleBackward<T>& all, NormShape s, std::int64_t n,
                               std::int64_t shift_stride) {
  const std::int64_t first = n * s.pixels * s.channels;
  const std::int64_t sums = n * s.channels;
  return {all.grad_y + first,
          all.v + first,
          all.v_gamma,
          all.v_beta,
          moved(all.v_shift, n * shift_stride),
          all.to_grad_y + first,
          all.to_x + first,
          all.to_gamma + sums,
          all.to_beta + sums,
          moved(all.to_shift, sums)};
}

}  // namespace

at::Tensor forward_on_cpu(const NormCall& any, double eps, const at::Tensor& y) {
  NormCall call = any;
  if (call.dropout.rate > 0.0) call.kept = dropout_factors(call.x, call.dropout);
  const NormShape shape = norm_shape(call);
  for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
    norm_forward(shape, image_of(norm_input<T, T>(call), shape, n), kept_of<T>(call, shape, n), eps,
                 scratch, norm_data<T>(y) + n * shape.pixels * shape.channels);
  });
  return call.kept;
}

void backward_on_cpu(const NormCall& call, const at::Tensor& grad_y, const BackwardResult& out) {
  const NormShape shape = norm_shape(call);
  for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
    norm_backward(shape, image_of(norm_input<T, T>(call), shape, n), kept_of<T>(call, shape, n),
                  scratch, image_of(norm_backward_of<T, T>(grad_y, out), shape, n));
  });
}

void double_backward_on_cpu(const NormCall& call, const at::Tensor& grad_y, const NormCotangents& v,
                            const DoubleBackwardResult& out) {
  const NormShape shape = norm_shape(call);
  for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
    const NormInput<T> in = norm_input<T, T>(call);
    norm_double_backward(
        shape, image_of(in, shape, n), kept_of<T>(call, shape, n), scratch,
        image_of(norm_double_backward_of<T, T>(grad_y, v, out), shape, n, in.shift_stride));
  });
}

}  // namespace cdm::ops
