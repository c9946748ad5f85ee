// SPDX-License-Identifier: MIT
// What tools/setup.sh decides, with stand-ins for the compiler, pip, apt-get, nvidia-smi and
// NVIDIA's driver library. Nothing is downloaded and nothing is built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <string>

#include "cdm/core/text.h"
#include "messages.h"
#include "process.h"
#include "scripts.h"

namespace cdm::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Setup : public ScriptsTest {
 protected:
  Setup() {
    for (const char* name : {"tools/setup.sh", "tools/setup", "cmake/libraries"}) copy(name);
    // All headers are there while the file `headers` is.
    write_text(folder_ / "headers", "");
    fake("c++", R"(case $* in
  -dumpversion) echo "${FAKE_GCC:-12}" ;;
  *-E*) cat >/dev/null; [[ -e headers ]] ;;
esac)");
    // pip makes a wheel of every name; a wheel unpacks to the file that this script expects of it.
    fake("python3", R"sh(case $* in
  "-m pip download "*)
    while (($# > 1)); do if [[ $1 == --dest ]]; then folder=$2; fi; shift; done
    echo "$1" >"$folder/a.whl"
    ;;
  "-m zipfile -e "*)
    name=$(cat "$4")
    echo "unpacked $name" >>calls
    case $name in
      cmake*) file=cmake/data/bin/cmake ;;
      ninja*) file=ninja-1.0.data/scripts/ninja ;;
      nvidia-cuda-nvcc*) file=nvidia/cu13/bin/nvcc ;;
      nvidia-nvvm*) file=nvidia/cu13/nvvm/bin/cicc ;;
      *) file=$name ;;
    esac
    mkdir -p "$5/$(dirname "$file")"
    cat >"$5/$file" <<'PROGRAM'
#!/bin/sh
if [ "$1" = --version ]; then echo cmake version 3.31.10; exit; fi
echo cmake "$@" >>calls
mkdir -p .deps/libraries
PROGRAM
    ;;
  *find_gpu.py)
    export LD_LIBRARY_PATH=$FAKE_DRIVER
    exec /usr/bin/python3 "$@"
    ;;
  *fetch_sources.py*) exec /usr/bin/python3 "$@" ;;
esac)sh");
    // One library, whose archive is at an address that needs no network.
    write_text(folder_ / "served.tar.gz", "archive");
    list_sources(sha256(folder_ / "served.tar.gz"));
    for (const char* name : {"git", "ninja", "ccache", "gnuplot"}) fake(name, "");
    fake("cmake", "echo cmake version 3.25.1");
  }

  static std::string sha256(const std::string& file) {
    return run_well("/usr/bin/sha256sum", {file}).substr(0, 64);
  }
  void list_sources(const std::string& sum) const {
    write_text(folder_ / "cmake/libraries/sources.txt",
               concat("# archive, sum, address\na-1.tar.gz ", sum, " file://",
                      folder_ / "served.tar.gz", "\n"));
  }

  /// NVIDIA's driver library, for `cuda` (12040 is CUDA 12.4) and one GPU of that capability.
  void driver(int cuda, int capability) {
    environment_ = {concat("FAKE_DRIVER=", fs::path(CDM_FAKE_CUDA).parent_path().string()),
                    concat("FAKE_CUDA=", cuda), concat("FAKE_CAPABILITY=", capability)};
  }
  void nvidia_smi(const std::string& cuda, const std::string& gpu) const {
    fake("nvidia-smi",
         concat("if (($#)); then echo '", gpu,
                "'; else echo '| Driver Version: 580.65.06   CUDA Version: ", cuda, " |'; fi"));
  }
  /// Whether the last call unpacked a wheel of that name.
  bool unpacked(const std::string& name) const {
    return calls().find(concat("unpacked ", name, "==")) != std::string::npos;
  }
  Finished setup(const std::vector<std::string>& words = {}) const {
    return call("tools/setup.sh", words);
  }
};

TEST_F(Setup, TakesLibTorchForTheCpuWhereThereIsNoDriver) {
  const Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("no NVIDIA driver", "using the CPU", "everything is there"));
  EXPECT_TRUE(unpacked("torch"));
  EXPECT_FALSE(unpacked("nvidia-cublas"));
  EXPECT_FALSE(unpacked("nvidia-cuda-nvcc"));
}

TEST_F(Setup, TakesTheCudaPartWhereTheDriverHasAGpu) {
  driver(13000, 90);
  const Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("NVIDIA Fake", "9.0", "CUDA 13.0", "CUDA part", "--cpu"));
  EXPECT_TRUE(unpacked("nvidia-cublas"));
  // nvcc as well, because there is none, and it can be run.
  EXPECT_TRUE(unpacked("nvidia-cuda-nvcc"));
  EXPECT_EQ(::access((folder_ / ".deps/libtorch/nvidia/cu13/bin/nvcc").c_str(), X_OK), 0);
  const std::string before = calls();
  EXPECT_EQ(setup().exit_code, 0);
  EXPECT_EQ(calls(), before) << "unpacked again";
}

TEST_F(Setup, AsksNvidiaSmiWhereTheLibraryDoesNotLoad) {
  nvidia_smi("13.1", "10.0, NVIDIA B200");
  const Finished done = setup();
  EXPECT_THAT(done.out, mentions("NVIDIA B200", "10.0", "CUDA 13.1"));
  EXPECT_TRUE(unpacked("nvidia-cublas"));
}

TEST_F(Setup, SaysInOneLineWhatIsTooOldAndWhatHelps) {
  driver(12040, 90);
  Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("CUDA 12.4", "13.0", "580", "using the CPU"));
  driver(13000, 75);
  done = setup();
  EXPECT_THAT(done.out, mentions("NVIDIA Fake", "7.5", "8.0", "Ampere", "using the CPU"));
  driver(13000, 0);
  done = setup();
  EXPECT_THAT(done.out, mentions("no GPU that it can use", "--cuda"));
  environment_.clear();
  nvidia_smi("12.9", "9.0, NVIDIA H100");
  done = setup();
  EXPECT_THAT(done.out, mentions("CUDA 12.9", "13.0", "580"));
  EXPECT_FALSE(unpacked("nvidia-cublas"));
}

TEST_F(Setup, FollowsCpuAndCuda) {
  driver(13000, 90);
  EXPECT_EQ(setup({"--cpu"}).exit_code, 0);
  EXPECT_FALSE(unpacked("nvidia-cublas"));
  driver(0, 0);
  environment_.clear();
  EXPECT_EQ(setup({"--cuda"}).exit_code, 0);
  EXPECT_TRUE(unpacked("nvidia-cublas"));
  const Finished both = setup({"--cpu", "--cuda"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("usage:"));
}

TEST_F(Setup, TakesNvccOnlyWhereThereIsNoneOfTheRightVersion) {
  fake("nvcc", "echo 'Cuda compilation tools, release 13.0, V13.0.88'");
  EXPECT_EQ(setup({"--cuda"}).exit_code, 0);
  EXPECT_FALSE(unpacked("nvidia-cuda-nvcc"));
  fake("nvcc", "echo 'Cuda compilation tools, release 12.4, V12.4.131'");
  const Finished done = setup({"--cuda"});
  EXPECT_THAT(done.out, mentions("no nvcc of CUDA 13", "wheels"));
  EXPECT_TRUE(unpacked("nvidia-cuda-nvcc"));
}

TEST_F(Setup, DownloadsNothingForALibTorchThatIsThere) {
  environment_ = {"CDM_LIBTORCH=/opt/libtorch"};
  const Finished done = setup({"--cuda"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(calls(), "");
  EXPECT_THAT(done.out, mentions("no nvcc", "four times as long", "nvidia-cuda-nvcc"));
}

TEST_F(Setup, PutsToolsAndLibrariesIntoDepsWithoutRights) {
  remove("headers");
  fake("cmake", "echo cmake version 3.22.1");  // too old
  Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("building the C++ libraries", "libpng-dev", "export PATH="));
  EXPECT_TRUE(unpacked("cmake"));
  EXPECT_TRUE(unpacked("ninja"));
  EXPECT_THAT(calls(), mentions("cmake -S cmake/libraries", "cmake --build"));
  const std::string before = calls();
  done = setup();
  EXPECT_EQ(calls(), before) << "built again";
  // Another release of a library is built.
  write_text(folder_ / "served.tar.gz", "another archive");
  list_sources(sha256(folder_ / "served.tar.gz"));
  setup();
  EXPECT_THAT(calls().substr(before.size()), HasSubstr("cmake --build"));
}

TEST_F(Setup, ChecksTheArchivesOfLibraries) {
  remove("headers");
  const std::string sum = sha256(folder_ / "served.tar.gz");
  write_text(folder_ / "served.tar.gz", "damaged");
  Finished done = setup();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions("served.tar.gz", "SHA-256", sum));
  remove("served.tar.gz");
  done = setup();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions("served.tar.gz", "CDM_SOURCES", "a-1.tar.gz"));
  EXPECT_EQ(calls(), "");
  fake("cmake", R"(if [[ $1 == --version ]]; then echo cmake version 3.25.1; exit; fi
echo cmake "$@" >>calls; mkdir -p .deps/libraries)");
  // A folder that has the archive stands in for its address.
  fs::create_directories(folder_.path() / "given");
  write_text(folder_ / "given/a-1.tar.gz", "archive");
  environment_ = {"CDM_SOURCES=" + folder_ / "given"};
  done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(), HasSubstr("cmake --build"));
}

TEST_F(Setup, StopsWhereItCannotHelp) {
  remove("bin/git");
  Finished done = setup();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions("missing: git", "module"));
  fake("git", "");
  environment_ = {"FAKE_GCC=11"};
  done = setup();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions("missing: c++>=12", "CXX"));
  EXPECT_EQ(calls(), "");
}

TEST_F(Setup, DoesWithoutWhatIsOptional) {
  remove("bin/gnuplot");
  const Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("no gnuplot", "without pictures"));
}

TEST_F(Setup, InstallsPackagesAsRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root installs packages";
  remove("headers");
  remove("bin/gnuplot");
  fake("apt-get", "echo apt-get \"$@\" >>calls; touch headers; ln -sf bash bin/gnuplot");
  const Finished done = setup();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(), mentions("install", "libpng-dev", "gnuplot-nox"));
  EXPECT_THAT(calls(), Not(HasSubstr("-S cmake/libraries")));
}

TEST_F(Setup, RefusesWrongCalls) {
  const Finished done = setup({"--gpu"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("usage:"));
}

// Every library that is built has a line with its archive, checksum and address.
TEST(SetupSources, AreThereForEveryLibrary) {
  const fs::path folder = fs::path(CDM_TEST_DATA) / "../cmake/libraries";
  std::istringstream recipes(read_text(folder / "CMakeLists.txt"));
  const std::string sources = "\n" + read_text(folder / "sources.txt");
  int libraries = 0;
  for (std::string line; std::getline(recipes, line);) {
    if (!line.starts_with("library(")) continue;
    std::string name, archive;
    std::istringstream(line.substr(8)) >> name >> archive;
    archive = archive.substr(0, archive.find(')'));
    EXPECT_THAT(sources,
                testing::ContainsRegex("\n" + archive +
                                       "-[0-9.]+[.]tar[.][gx]z [0-9a-f]{64} https://[^ ]+\n"));
    ++libraries;
  }
  EXPECT_EQ(libraries, 14);
}

class Quickstart : public ScriptsTest {
 protected:
  Quickstart() {
    for (const char* name : {"tools/quickstart.sh", "tools/setup", "configs/quickstart.yaml"}) {
      copy(name);
    }
    fake("tools/setup.sh", "echo setup \"$@\" >>calls");
    fake("cmake", "");
    fake("python3", "echo \"$FAKE_GPU\"");
    // --dry-run fails where $PROBLEM is set.
    fake("build/release/bin/cdm-train", R"(echo cdm-train "$@" >>calls
if [[ $* == *--dry-run* && $PROBLEM ]]; then echo "$PROBLEM" >&2; exit 2; fi
while (($#)); do if [[ $1 == --run-dir ]]; then mkdir -p "$2"; fi; shift; done)");
    fake("build/release/bin/cdm-sample", "echo cdm-sample \"$@\" >>calls");
    fake("build/release/bin/cdm-nll",
         "echo 'bits_per_dim 3.18 a b c 3.17 3.20'; echo 'denoiser_bound_bits_per_dim 3.21 a b c "
         "3.19 3.23'");
  }
};

TEST_F(Quickstart, TrainsTheBiggerNetworkOnAGpu) {
  environment_ = {"FAKE_GPU=13.0 9.0 NVIDIA H200"};
  const Finished done = call("tools/quickstart.sh");
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(),
              mentions("setup --data\n", "configs/quickstart_gpu.yaml --set device=cuda",
                       "--run-dir runs/quickstart_gpu\n", "cdm-sample runs/quickstart_gpu"));
  EXPECT_THAT(done.out, mentions("at most 3 minutes", "3.18 (95 % interval 3.17 to 3.20)",
                                 "3.21 (95 % interval 3.19 to 3.23)"));
}

TEST_F(Quickstart, TrainsOnTheCpuWhereThereIsNoGpu) {
  for (const char* gpu : {"", "12.4 9.0 NVIDIA H100", "13.0 7.0 NVIDIA V100", "13.0 - -"}) {
    environment_ = {concat("FAKE_GPU=", gpu)};
    remove("calls");
    EXPECT_THAT(call("tools/quickstart.sh").out, HasSubstr("at most 6.5 minutes"));
    EXPECT_THAT(calls(),
                mentions("cdm-train configs/quickstart.yaml", "--run-dir runs/quickstart\n"));
    EXPECT_THAT(calls(), Not(HasSubstr("quickstart_gpu")));
  }
}

TEST_F(Quickstart, SaysWhyTheProgramsCannotUseAGpu) {
  environment_ = {"FAKE_GPU=13.0 9.0 NVIDIA H200", "PROBLEM=cdm-train: no libtorch_cuda.so"};
  const Finished done = call("tools/quickstart.sh");
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, mentions("NVIDIA H200", "no libtorch_cuda.so", "at most 6.5 minutes"));
  EXPECT_THAT(calls(), HasSubstr("--run-dir runs/quickstart\n"));
}

TEST_F(Quickstart, FollowsCpu) {
  environment_ = {"FAKE_GPU=13.0 9.0 NVIDIA H200"};
  const Finished done = call("tools/quickstart.sh", {"--cpu"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(calls(), mentions("setup --data --cpu\n", "configs/quickstart.yaml", "device=cpu"));
  EXPECT_THAT(calls(), Not(HasSubstr("quickstart_gpu")));
  EXPECT_EQ(call("tools/quickstart.sh", {"--gpu"}).exit_code, 2);
}

}  // namespace
}  // namespace cdm::test
