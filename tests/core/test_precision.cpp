// SPDX-License-Identifier: MIT
// What the keys `precision`, `cudnn_autotuning`, `own_cuda_kernels` and `cuda_graphs` stand for
// when they are auto.
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "cdm/device/cuda_graphs.h"
#include "cdm/device/cuda_kernels.h"
#include "cdm/device/cudnn.h"
#include "cdm/device/device.h"
#include "cdm/device/precision.h"

namespace cdm {
namespace {

TEST(Precision, AutoIsBf16OnlyForAUNetOnAGpuThatHasItAndNotForScoring) {
  for (const Work work : {Work::training, Work::sampling, Work::scoring}) {
    for (const auto& [network, name] : KindNames<NetworkKind>::all) {
      for (const bool has_bf16 : {false, true}) {
        const bool bf16 = work != Work::scoring && network == NetworkKind::unet && has_bf16;
        EXPECT_EQ(arithmetic_for(Arithmetic::automatic, work, network, has_bf16),
                  bf16 ? Arithmetic::bf16 : Arithmetic::fp32)
            << name << " " << has_bf16;
        EXPECT_EQ(arithmetic_for(Arithmetic::tf32, work, network, has_bf16), Arithmetic::tf32);
      }
    }
  }
}

TEST(Precision, AutoIsFp32OnTheCpu) {
  RunConfig config;
  EXPECT_EQ(arithmetic_for(config, Work::training, at::kCPU), Arithmetic::fp32);
  EXPECT_FALSE(has_bf16(at::kCPU));
  config.precision = Arithmetic::bf16;
  EXPECT_EQ(arithmetic_for(config, Work::training, at::kCPU), Arithmetic::bf16);
}

TEST(Precision, AutoHasNoTypesOfItsOwn) {
  EXPECT_THROW(precision_of(Arithmetic::automatic), c10::Error);
  EXPECT_EQ(precision_of(Arithmetic::bf16).body, at::kBFloat16);
}

TEST(Cudnn, AutoTimesAlgorithmsButInTraining) {
  EXPECT_EQ(cudnn_choice(Autotuning::automatic, Work::training), (CudnnChoice{false, true}));
  EXPECT_EQ(cudnn_choice(Autotuning::automatic, Work::sampling), (CudnnChoice{true, false}));
  EXPECT_EQ(cudnn_choice(Autotuning::automatic, Work::scoring), (CudnnChoice{true, false}));
  for (const Work work : {Work::training, Work::sampling, Work::scoring}) {
    EXPECT_EQ(cudnn_choice(Autotuning::on, work), (CudnnChoice{true, false}));
    EXPECT_EQ(cudnn_choice(Autotuning::off, work), (CudnnChoice{false, false}));
  }
}

TEST(CudaKernels, RunOnTheArchitecturesTheyAreBuiltForAndNewerOnes) {
  EXPECT_EQ(built_with_cuda_kernels(), CDM_HAS_CUDA_KERNELS);
  if (!built_with_cuda_kernels()) GTEST_SKIP() << "a build without CUDA kernels";
  EXPECT_EQ(why_kernels_do_not_run(0), "");  // not known
  EXPECT_EQ(why_kernels_do_not_run(999), "");
  const std::string why = why_kernels_do_not_run(50);  // CUDA 13 builds for none that old
  EXPECT_NE(why.find("5.0"), std::string::npos) << why;
  EXPECT_NE(why.find("CMAKE_CUDA_ARCHITECTURES"), std::string::npos) << why;
}

TEST(CudaGraphs, AreForGpusOnly) {
  const at::Device gpu(at::kCUDA, 0);
  EXPECT_EQ(use_cuda_graphs(Feature::automatic, gpu), built_with_cuda_graphs());
  EXPECT_FALSE(use_cuda_graphs(Feature::off, gpu));
  EXPECT_FALSE(use_cuda_graphs(Feature::automatic, at::kCPU));
}

}  // namespace
}  // namespace cdm
