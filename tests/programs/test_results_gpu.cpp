// SPDX-License-Identifier: MIT
// tools/results_gpu.sh with small scripts in place of the programs: which calls it makes, and what
// its table says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "process.h"

namespace cdm::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class ResultsGpu : public testing::Test {
 protected:
  ResultsGpu() {
    const fs::path project = fs::path(CDM_TEST_DATA) / "..";
    for (const char* const folder : {"tools", "configs", "build/release/bin", "path"}) {
      fs::create_directories(folder_ / folder);
    }
    fs::copy(project / "tools/results_gpu.sh", folder_ / "tools");
    for (const char* const program : {"cdm-sample", "cdm-eval"}) {
      script(fs::path("build/release/bin") / program, "echo \"$(basename $0) $*\" >> " + calls());
    }
    script("build/release/bin/cdm-train",
           "if [ \"$1\" = --version ]; then printf 'cdm 1\\nrevision abc123\\n'; exit; fi\n"
           "echo \"cdm-train $*\" >> " +
               calls() +
               "\nmkdir -p \"$3\"\necho \"device: ${DEVICE:-auto}\" > \"$3/config.yaml\"");
    script("build/release/bin/cdm-nll",
           "echo \"cdm-nll $*\" >> " + calls() +
               "\nfor name in importance_weighted_bits_per_dim bits_per_dim "
               "denoiser_bound_bits_per_dim; do\n"
               "  echo \"$name 3.1 standard_error .1 interval_95 3.0 3.2\"\ndone");
    script("path/nvidia-smi", "echo 'NVIDIA Test, 580.1'");
  }

  void script(const fs::path& name, const std::string& text) const {
    write_text(folder_ / name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  std::string calls() const { return folder_ / "calls"; }
  /// `device` is what the run's configuration says.
  Finished results(const std::string& device) const {
    return run("/usr/bin/env",
               {"DEVICE=" + device, "PATH=" + folder_ / "path" + ":/usr/bin:/bin",
                folder_ / "tools/results_gpu.sh", folder_ / "out", "--set", "train.iterations=3"});
  }

  TemporaryFolder folder_;
};

TEST_F(ResultsGpu, TrainsScoresDrawsAndPrintsATable) {
  const Finished finished = results("auto");
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const std::string out = folder_ / "out";
  const std::string called = read_text(calls());
  EXPECT_THAT(called, HasSubstr("configs/fashion_gpu.yaml --run-dir " + out +
                                "/run --set train.iterations=3\n"));
  EXPECT_THAT(called,
              HasSubstr("cdm-nll " + out +
                        "/run --split test --dequantize uniform --draws 4 --check 4 --gaussian"));
  EXPECT_THAT(called, HasSubstr("cdm-sample " + out + "/run -n 64"));
  EXPECT_THAT(called, HasSubstr("cdm-eval curves " + out + "/run"));
  EXPECT_THAT(finished.out, HasSubstr("| hardware | NVIDIA Test, 580.1 |"));
  EXPECT_THAT(finished.out, HasSubstr("| commit | abc123 |"));
  EXPECT_THAT(finished.out, HasSubstr("3.1 (95 % interval 3.0 to 3.2)"));
  EXPECT_THAT(finished.out, HasSubstr(read_text(folder_ / "out/table.md")));
}

TEST_F(ResultsGpu, DoesNotNameACardThatWasNotUsed) {
  EXPECT_THAT(results("cpu").out, HasSubstr("| hardware | CPU |"));
}

TEST_F(ResultsGpu, StopsWhereAProgramFails) {
  script("build/release/bin/cdm-nll", "exit 1");
  const Finished finished = results("auto");
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.out, Not(HasSubstr("| hardware |")));
}

TEST_F(ResultsGpu, WithoutAFolderItShowsItsUsage) {
  const Finished finished = run(folder_ / "tools/results_gpu.sh", {});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_THAT(finished.err, HasSubstr("usage: tools/results_gpu.sh OUT"));
}

}  // namespace
}  // namespace cdm::test
