// SPDX-License-Identifier: MIT
#include "cdm/ops/cuda_kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <exception>
#include <string>

#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/device/cuda_kernels.h"
#include "cdm/device/device.h"
#include "device/fill_rows.h"
#include "device/on_device.h"
#include "device/random_launch.h"
#include "ops/group_norm/self_test.h"
#include "ops/self_test.h"

namespace cdm {
namespace {

/// Compares the kernels with the CPU or with ATen. Throws when one of them cannot be launched or
/// gives a wrong result.
void try_kernels(at::Device device) {
  const cuda::OnDevice on_device(device);
  const auto constant = [&](at::IntArrayRef shape, double value) {
    return at::full(shape, value, at::TensorOptions().dtype(at::kFloat).device(device));
  };

  const std::int64_t index = 5;
  const at::Tensor index_there =
      at::full({}, index, at::TensorOptions().dtype(at::kLong).device(device));
  const PhiloxRows rows = {{1, 2}, &index};
  const PhiloxRows rows_there = {{1, 2}, index_there.const_data_ptr<std::int64_t>()};
  for (const Distribution distribution : {Distribution::uniform, Distribution::normal}) {
    constexpr std::int64_t kCount = 3;
    constexpr std::int64_t kSize = 2 * kNumbersPerBlock + 1;
    const at::Tensor drawn = constant({kCount, kSize}, 0.0);
    cuda::fill_rows(drawn.data_ptr<float>(), kCount, kSize, rows_there, distribution,
                    on_device.stream());
    const at::Tensor expected = at::zeros({kCount, kSize}, at::kFloat);
    fill_rows(expected.data_ptr<float>(), kCount, kSize, rows, distribution);
    // The logarithms and cosines of two libraries differ in the last places.
    const double tolerance = distribution == Distribution::uniform ? 0.0 : 1e-5;
    TORCH_CHECK((drawn.cpu() - expected).abs().le(tolerance).all().item<bool>(),
                "random numbers are not those of the host");
  }

  constexpr std::int64_t kBound = 1000000;
  const at::Tensor whole = at::zeros({3}, index_there.options());
  auto* const whole_there = whole.data_ptr<std::int64_t>();
  cuda::fill_integers(whole_there, 1, kBound, rows_there, on_device.stream());
  cuda::write_random_rows(whole_there + 1, rows_there, /*purpose=*/7, 9, on_device.stream());
  const at::Tensor integers = whole.cpu();
  const auto* const found = integers.const_data_ptr<std::int64_t>();
  TORCH_CHECK(found[0] == philox_integer(rows.row(0), kBound) &&
                  found[1] == static_cast<std::int64_t>(philox_key(seed_of(rows.row(0)), 7)) &&
                  found[2] == 9,
              "random integers are not those of the host");

  ops::try_norm_kernels(device);
  ops::try_layer_kernels(device);
}

}  // namespace

void use_own_cuda_kernels(bool on, at::Device device) {
  set_own_cuda_kernels(false);
  if (!on || !device.is_cuda() || !built_with_cuda_kernels()) return;
  if (const std::string why = why_kernels_do_not_run(compute_capability(device)); !why.empty()) {
    log_warning(concat("own_cuda_kernels: ", why, "; using ATen's operations instead"));
    return;
  }
  try {
    try_kernels(device);
    set_own_cuda_kernels(true);
  } catch (const std::exception& error) {
    set_own_cuda_kernels(false);
    log_warning(concat("own_cuda_kernels: ", first_line(error.what()),
                       "; using ATen's operations instead"));
  }
}

}  // namespace cdm
