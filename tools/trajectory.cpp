// SPDX-License-Identifier: MIT
#include "trajectory.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <iterator>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/npz.h"

namespace cdm {
namespace {

constexpr double kLargest = 4.0 * 1024 * 1024 * 1024;  // bytes

void put(const at::Tensor& all, std::int64_t first, std::int64_t step, const at::Tensor& images) {
  all.narrow(0, first, images.size(0)).select(1, step).copy_(images);
}

}  // namespace

Trajectory::Trajectory(std::string file, std::int64_t images, const NoiseSchedule& schedule,
                       const SampleConfig& sampling, const NetworkShape& shape)
    : file_(std::move(file)),
      levels_(sampling_levels(schedule.steps(), sampling.steps, sampling.spacing)) {
  levels_.push_back(0);
  const std::int64_t values = shape.channels * shape.image_size * shape.image_size;
  const auto steps = std::ssize(levels_);
  const double bytes = static_cast<double>(images * values) * 4.0 * (2.0 * steps - 1.0);
  if (bytes > kLargest) {
    throw UserError(concat("--trajectory: ", images, " images in ", sampling.steps, " steps take ",
                           format_bytes(static_cast<std::int64_t>(bytes)), ", more than ",
                           format_bytes(static_cast<std::int64_t>(kLargest)),
                           "; give a smaller -n"));
  }
  x_t_ = at::zeros({images, steps, shape.channels, shape.image_size, shape.image_size}, at::kFloat);
  x0_ = at::zeros_like(x_t_.narrow(1, 0, steps - 1));
}

void Trajectory::take(std::int64_t first, const SampleStep& step) {
  put(x_t_, first, step.done - 1, step.from);
  put(x_t_, first, step.done, step.x);
  put(x0_, first, step.done - 1, step.x0);
}

void Trajectory::write() const {
  NpzWriter npz(file_);
  npz.write("levels", at::tensor(levels_, at::kLong));
  npz.write("x_t", x_t_);
  npz.write("x_0", x0_);
  npz.close();
}

}  // namespace cdm
