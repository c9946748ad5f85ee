// SPDX-License-Identifier: MIT
// Programs on a machine whose NVIDIA driver or GPU LibTorch cannot use: told in one line with what
// would help, then the CPU for device = auto and an error for device = cuda. The driver is
// tests/preload/fake_cuda.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "messages.h"
#include "tiny_run.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Drivers : public testing::Test {
 protected:
  /// cdm-bench on `device` where the driver says this of itself and of its GPU.
  test::Finished bench(const std::string& device, int cuda, int capability, int error = 0) const {
    const std::string folder = std::filesystem::path(CDM_FAKE_CUDA).parent_path().string();
    test::ProcessOptions options = {
        .folder = tiny_.folder(),
        .environment = {"LD_LIBRARY_PATH=" + folder, "OMP_NUM_THREADS=1",
                        "FAKE_CUDA=" + std::to_string(cuda),
                        "FAKE_CAPABILITY=" + std::to_string(capability),
                        "FAKE_ERROR=" + std::to_string(error)}};
    return test::run("cdm-bench",
                     {"plain.yaml", "--device", device, "--what", "nll", "--repeats", "1",
                      "--image-size", "8", "--channels", "1"},
                     options);
  }

  /// Expects one line that mentions `words`: a warning and work on the CPU for auto, an error for
  /// cuda.
  template <class... Words>
  void expect_told(int cuda, int capability, int error, const Words&... words) const {
    const test::Finished automatic = bench("auto", cuda, capability, error);
    EXPECT_EQ(automatic.exit_code, 0) << automatic.err;
    EXPECT_THAT(automatic.out, HasSubstr("on cpu"));
    EXPECT_THAT(automatic.err, AllOf(test::mentions("CPU", words...), HasSubstr("warning")));
    EXPECT_EQ(std::count(automatic.err.begin(), automatic.err.end(), '\n'), 1) << automatic.err;
    const test::Finished required = bench("cuda", cuda, capability, error);
    EXPECT_EQ(required.exit_code, 2);
    EXPECT_THAT(required.err, test::mentions("device 'cuda'", words...));
    EXPECT_EQ(std::count(required.err.begin(), required.err.end(), '\n'), 1) << required.err;
  }

  test::TinyRun tiny_;
};

TEST_F(Drivers, TooOldForTheCudaRuntimeAreNamedWithTheirVersion) {
  if (!CDM_HAS_CUDA_KERNELS) GTEST_SKIP() << "a build without CUDA's runtime";
  expect_told(12040, 90, 0, "driver is too old", "CUDA 12.4", "CUDA 13.0", "580");
}

TEST_F(Drivers, GpusTooOldForLibTorchAreNamedWithTheirCapability) {
  expect_told(13000, 61, 0, "GPU is too old", "6.1", "7.5", "LibTorch");
}

TEST_F(Drivers, ThatDoNotStartSayTheirError) {
  expect_told(13000, 90, 999, "does not start", "CUDA_ERROR_UNKNOWN", "nvidia-smi");
  expect_told(13000, 90, 803, "does not start", "error 803");
}

TEST_F(Drivers, WithoutAGpuAreNoReasonToWarn) {
  const test::Finished automatic = bench("auto", 13000, /*capability=*/0);
  EXPECT_EQ(automatic.exit_code, 0) << automatic.err;
  EXPECT_EQ(automatic.err, "");
  EXPECT_THAT(bench("cuda", 13000, 0).err,
              test::mentions("no CUDA device", "the driver shows none"));
}

}  // namespace
}  // namespace cdm
