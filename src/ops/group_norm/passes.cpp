// SPDX-License-Identifier: MIT
#include "ops/group_norm/passes.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <vector>

#include "device/on_device.h"
#include "ops/group_norm/launch.h"
#include "ops/group_norm/loops.h"

namespace cdm::ops {
namespace {

at::Tensor channels_last(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

/// Options of tensors for the statistics and sums of a batch like x.
at::TensorOptions sums_like(const at::Tensor& x) {
  return x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

NormShape shape_of(const NormCall& call) {
  return {call.x.size(2) * call.x.size(3), call.x.size(1), call.mean.size(1), call.silu};
}

/// The call with its tensors in the layout that loops and kernels expect.
NormCall laid_out(const NormCall& call) {
  return {channels_last(call.x),
          call.gamma.contiguous(),
          call.beta.contiguous(),
          call.mean,
          call.rstd,
          call.silu};
}

template <class T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

template <class T, class S>
NormInput<T, S> input_of(const NormCall& call) {
  return {data<T>(call.x), data<T>(call.gamma), data<T>(call.beta), data<S>(call.mean),
          data<S>(call.rstd)};
}

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

/// The part of a batch's arrays that belongs to image n.
template <class T>
NormInput<T> image_of(const NormInput<T>& all, NormShape s, std::int64_t n) {
  return {all.x + n * s.pixels * s.channels, all.gamma, all.beta, all.mean + n * s.groups,
          all.rstd + n * s.groups};
}

template <class T>
NormBackward<T> image_of(const NormBackward<T>& all, NormShape s, std::int64_t n) {
  const std::int64_t first = n * s.pixels * s.channels;
  return {all.grad_y + first, all.grad_x + first, all.grad_gamma + n * s.channels,
          all.grad_beta + n * s.channels};
}

template <class T>
NormDoubleBackward<T> image_of(const NormDoubleBackward<T>& all, NormShape s, std::int64_t n) {
  const std::int64_t first = n * s.pixels * s.channels;
  return {all.grad_y + first,
          all.v + first,
          all.v_gamma,
          all.v_beta,
          all.to_grad_y + first,
          all.to_x + first,
          all.to_gamma + n * s.channels,
          all.to_beta + n * s.channels};
}

/// Calls body(T{}, layout, stream), which launches a kernel, with the GPU of x as current device. T
/// is the type of x.
template <class Body>
void on_gpu(const NormCall& call, const Body& body) {
  const cuda::OnDevice on_device(call.x.device());
  void* const stream = on_device.stream();
  const cuda::NormLayout layout = cuda::norm_layout(call.x.size(0), shape_of(call));
  if (call.x.scalar_type() == at::kFloat) {
    body(float{}, layout, stream);
  } else if (call.x.scalar_type() == at::kDouble) {
    body(double{}, layout, stream);
  } else {
    body(cuda::Bfloat16{}, layout, stream);
  }
}

}  // namespace

ForwardResult group_norm_forward(const at::Tensor& x, const at::Tensor& gamma,
                                 const at::Tensor& beta, std::int64_t groups, double eps,
                                 bool silu) {
  const auto statistics = [&] { return at::empty({x.size(0), groups}, sums_like(x)); };
  const NormCall call = laid_out({x, gamma, beta, statistics(), statistics(), silu});
  const at::Tensor y = at::empty_like(call.x);
  if (x.is_cuda()) {
    on_gpu(call, [&]<class T>(T, const cuda::NormLayout& layout, void* stream) {
      cuda::norm_forward<T>(layout, input_of<T, cuda::Sum<T>>(call), eps, data<T>(y), stream);
    });
  } else {
    const NormShape shape = shape_of(call);
    for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
      norm_forward(shape, image_of(input_of<T, T>(call), shape, n), eps, scratch,
                   data<T>(y) + n * shape.pixels * shape.channels);
    });
  }
  return {y, call.mean, call.rstd};
}

BackwardResult group_norm_backward(const NormCall& any, const at::Tensor& grad_y) {
  const NormCall call = laid_out(any);
  const NormShape shape = shape_of(call);
  const at::Tensor gy = channels_last(grad_y);
  const at::Tensor grad_x = at::empty_like(call.x);
  const auto sums = [&] { return at::empty({call.x.size(0), shape.channels}, sums_like(call.x)); };
  const at::Tensor grad_gamma = sums();
  const at::Tensor grad_beta = sums();
  const auto out = [&]<class T, class S>() -> NormBackward<T, S> {
    return {data<T>(gy), data<T>(grad_x), data<S>(grad_gamma), data<S>(grad_beta)};
  };
  if (call.x.is_cuda()) {
    on_gpu(call, [&]<class T>(T, const cuda::NormLayout& layout, void* stream) {
      using S = cuda::Sum<T>;
      cuda::norm_backward<T>(layout, input_of<T, S>(call), out.template operator()<T, S>(), stream);
    });
  } else {
    for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
      norm_backward(shape, image_of(input_of<T, T>(call), shape, n), scratch,
                    image_of(out.template operator()<T, T>(), shape, n));
    });
  }
  const at::ScalarType type = call.gamma.scalar_type();
  return {grad_x, grad_gamma.sum(0).to(type), grad_beta.sum(0).to(type)};
}

DoubleBackwardResult group_norm_double_backward(const NormCall& any, const at::Tensor& grad_y,
                                                const at::Tensor& v_x, const at::Tensor& v_gamma,
                                                const at::Tensor& v_beta) {
  const NormCall call = laid_out(any);
  const NormShape shape = shape_of(call);
  const at::Tensor gy = channels_last(grad_y);
  const at::Tensor vx = channels_last(v_x);
  const at::Tensor vg = v_gamma.contiguous();
  const at::Tensor vb = v_beta.contiguous();
  const at::Tensor to_grad_y = at::empty_like(call.x);
  const at::Tensor to_x = at::empty_like(call.x);
  const auto sums = [&] { return at::empty({call.x.size(0), shape.channels}, sums_like(call.x)); };
  const at::Tensor to_gamma = sums();
  const at::Tensor to_beta = sums();
  const auto out = [&]<class T, class S>() -> NormDoubleBackward<T, S> {
    return {data<T>(gy),        data<T>(vx),   data<T>(vg),       data<T>(vb),
            data<T>(to_grad_y), data<T>(to_x), data<S>(to_gamma), data<S>(to_beta)};
  };
  if (call.x.is_cuda()) {
    on_gpu(call, [&]<class T>(T, const cuda::NormLayout& layout, void* stream) {
      using S = cuda::Sum<T>;
      cuda::norm_double_backward<T>(layout, input_of<T, S>(call), out.template operator()<T, S>(),
                                    stream);
    });
  } else {
    for_each_image(call, [&]<class T>(T, std::int64_t n, T* scratch) {
      norm_double_backward(shape, image_of(input_of<T, T>(call), shape, n), scratch,
                           image_of(out.template operator()<T, T>(), shape, n));
    });
  }
  const at::ScalarType type = call.gamma.scalar_type();
  return {to_grad_y, to_x, to_gamma.sum(0).to(type), to_beta.sum(0).to(type)};
}

}  // namespace cdm::ops
