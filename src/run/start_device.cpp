// SPDX-License-Identifier: MIT
#include "cdm/run/start_device.h"

#include <vector>

#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/device/cuda_graphs.h"
#include "cdm/device/cuda_kernels.h"
#include "cdm/device/cudnn.h"
#include "cdm/device/device.h"
#include "cdm/ops/cuda_kernels.h"
#include "cdm/ops/ops.h"

namespace cdm {

std::string what_the_build_lacks(const RunConfig& config, bool has_kernels, bool has_graphs) {
  std::vector<std::string> missing;
  if (config.own_cuda_kernels == Feature::automatic && !has_kernels) {
    missing.emplace_back("CUDA kernels of this project (own_cuda_kernels)");
  }
  if (config.cuda_graphs == Feature::automatic && !has_graphs) {
    missing.emplace_back("CUDA graphs (cuda_graphs)");
  }
  if (missing.empty()) return "";
  return concat("this build has no ", join(missing, " and no "),
                "; one made where nvcc and LibTorch's CUDA part are found is faster on a GPU");
}

Computation start_device(const RunConfig& config, Work work, int local_rank) {
  const at::Device device = resolve_device(config.device, local_rank);
  const Arithmetic arithmetic = arithmetic_for(config, work, device);
  allow_tf32(precision_of(arithmetic).tf32);
  set_cudnn(cudnn_choice(config.cudnn_autotuning, work));
  ops::set_fused(config.operations == Operations::fused);
  if (device.is_cuda()) {
    const std::string lacks =
        what_the_build_lacks(config, built_with_cuda_kernels(), built_with_cuda_graphs());
    if (!lacks.empty()) log_info(lacks);
  }
  use_own_cuda_kernels(config.own_cuda_kernels == Feature::automatic, device);
  return {device, arithmetic};
}

}  // namespace cdm
