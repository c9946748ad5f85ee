// SPDX-License-Identifier: MIT
#include "cdm/cuda_kernels.h"

#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <atomic>
#include <exception>

#include "cdm/log.h"
#include "cdm/text.h"
#include "cuda/random_launch.h"

namespace cdm {
namespace {

std::atomic<bool> in_use = false;

void try_one(at::Device device) {
  constexpr std::int64_t kCount = kNumbersPerBlock;
  const at::Tensor out = at::empty({kCount}, at::TensorOptions().dtype(at::kFloat).device(device));
  const c10::impl::VirtualGuardImpl guard(device.type());
  cuda::fill_rows(out.data_ptr<float>(), 1, kCount, {0, 0}, Distribution::uniform,
                  guard.getStream(device).native_handle());
}

}  // namespace

void use_own_cuda_kernels(bool on, at::Device device) {
  in_use = false;
  if (!on || !device.is_cuda()) return;
  try {
    try_one(device);
    in_use = true;
  } catch (const std::exception& error) {
    log_warning(concat("own_cuda_kernels: ", error.what(), "; plain operations stand in"));
  }
}

bool own_cuda_kernels() { return in_use; }

}  // namespace cdm
