// SPDX-License-Identifier: MIT
#include <ATen/Context.h>
#include <gmock/gmock.h>

#include "cdm/device/cudnn.h"
#include "cdm/ops/ops.h"
#include "cdm/run/start_device.h"
#include "files.h"

namespace cdm {
namespace {

RunConfig on_cpu() {
  RunConfig config;
  config.device = "cpu";
  return config;
}

TEST(StartDevice, MakesTheSettingsOfTheProcess) {
  RunConfig config = on_cpu();
  config.operations = Operations::plain;
  config.precision = Arithmetic::tf32;
  const Computation computation = start_device(config, Work::scoring);
  EXPECT_EQ(computation.device, at::Device(at::kCPU));
  EXPECT_EQ(computation.arithmetic, Arithmetic::tf32);
  EXPECT_FALSE(ops::fused());
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  EXPECT_TRUE(at::globalContext().benchmarkCuDNN());
  config = on_cpu();
  EXPECT_EQ(start_device(config, Work::training).arithmetic, Arithmetic::fp32);
  EXPECT_TRUE(ops::fused());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
  EXPECT_FALSE(at::globalContext().benchmarkCuDNN());
  EXPECT_TRUE(at::globalContext().deterministicCuDNN());
  config.cudnn_autotuning = Autotuning::on;
  start_device(config, Work::training);
  EXPECT_TRUE(at::globalContext().benchmarkCuDNN());
  EXPECT_FALSE(at::globalContext().deterministicCuDNN());
  set_cudnn({.timed = false, .fixed_order = false});
}

TEST(StartDevice, RefusesADeviceThatIsNoDevice) {
  RunConfig config;
  config.device = "tpu";
  EXPECT_THAT(test::user_error([&] { start_device(config, Work::training); }),
              testing::HasSubstr("tpu"));
}

TEST(StartDevice, SaysWhatTheBuildLacksIfItIsAskedFor) {
  RunConfig config;
  EXPECT_EQ(what_the_build_lacks(config, true, true), "");
  EXPECT_THAT(what_the_build_lacks(config, false, false),
              testing::AllOf(testing::HasSubstr("own_cuda_kernels"),
                             testing::HasSubstr("cuda_graphs"), testing::HasSubstr("nvcc")));
  EXPECT_THAT(what_the_build_lacks(config, true, false),
              testing::Not(testing::HasSubstr("own_cuda_kernels")));
  config.own_cuda_kernels = Feature::off;
  config.cuda_graphs = Feature::off;
  EXPECT_EQ(what_the_build_lacks(config, false, false), "");
}

}  // namespace
}  // namespace cdm
