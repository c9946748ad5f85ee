// SPDX-License-Identifier: MIT
#include <ATen/Context.h>
#include <gmock/gmock.h>

#include "cdm/ops/ops.h"
#include "cdm/run/start_device.h"
#include "files.h"

namespace cdm {
namespace {

TEST(StartDevice, MakesTheSettingsOfTheProcess) {
  RunConfig config;
  config.device = "cpu";
  config.operations = Operations::plain;
  EXPECT_EQ(start_device(config, Arithmetic::tf32), at::Device(at::kCPU));
  EXPECT_FALSE(ops::fused());
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  config.operations = Operations::fused;
  start_device(config, Arithmetic::fp32);
  EXPECT_TRUE(ops::fused());
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
}

TEST(StartDevice, RefusesADeviceThatIsNoDevice) {
  RunConfig config;
  config.device = "tpu";
  EXPECT_THAT(test::user_error([&] { start_device(config, Arithmetic::fp32); }),
              testing::HasSubstr("tpu"));
}

}  // namespace
}  // namespace cdm
