// SPDX-License-Identifier: MIT
// Tests of wrong calls of programs: checks the exit code, the message, and that no file was
// written.
#pragma once

#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "cdm/device/device.h"
#include "cdm/io/npy.h"
#include "cdm/io/npz.h"
#include "support.h"
#include "tiny_run.h"

namespace cdm::test {

/// A call that must fail.
struct WrongCall {
  std::vector<std::string> arguments;
  std::vector<std::string> named;  // what the message must contain
  int exit_code = 2;  // 2: wrong usage, configuration or input; 1: the system refuses something
};

/// A fixture with a folder that holds a class-conditional run, an unconditional run, and wrong
/// files.
class WrongUse : public testing::Test {
 protected:
  // Done once for all tests of a process, because failing calls do not change the folder.
  static void SetUpTestSuite() {
    namespace fs = std::filesystem;
    folder_ = std::make_unique<TinyRun>();
    const TinyRun& tiny = *folder_;
    ASSERT_EQ(tiny.train("tiny", "run", {"train.iterations=1"}).exit_code, 0);
    ASSERT_EQ(tiny.train("plain", "free", {"train.iterations=1"}).exit_code, 0);
    write_arrays(tiny);
    write_text(tiny / "junk.npz", "junk");
    write_text(tiny / "junk.zip", "junk");
    ASSERT_EQ(::mkfifo((tiny / "fifo").c_str(), 0600), 0);
    write_text(tiny / "junk.pth", "junk");
    write_text(tiny / "torn.npz", read_text(tiny / "test.npz").substr(0, 1000));
    const std::string official = read_text(fs::path(CDM_TEST_DATA) / "data" / "official.pth");
    write_text(tiny / "official.pth", official);
    write_text(tiny / "torn.pth", official.substr(0, 3000));
    write_text(tiny / "broken.yaml", "model: {kind: mlp\ntrain: 1}\n");
    write_text(tiny / "unknown.yaml", "seed: 1\nmodel: {chanels: 3}\n");
    write_text(tiny / "typed.yaml", "\n\ntrain: {iterations: many}\n");
    write_text(tiny / "ranged.yaml", "diffusion: {steps: -1}\n");
    write_text(tiny / "twice.yaml", "seed: 1\nseed: 2\n");
    write_text(tiny / "two.yaml", "seed: 1\n---\nsed: 2\n");
    write_text(tiny / "merge.yaml", "x-a: &a {batch_sise: 8}\ntrain: {<<: *a}\n");
    write_text(tiny / "lines.yaml", "\"a\\nb\": 1\n");
    write_text(tiny / "binary.yaml", std::string("\x7f"
                                                 "ELF\0\1\2",
                                                 7));
    write_text(tiny / "nodata.yaml", "data: {kind: npz, path: none.npz}\n");
    fs::create_directory(tiny / "hollow");
    for (const char* name : {"pipes", "dead", "junk"}) fs::create_directory(tiny / name);
    ASSERT_EQ(::mkfifo((tiny / "pipes/a.png").c_str(), 0600), 0);
    fs::create_directory_symlink("/nowhere", tiny / "dead/cat");
    for (const char* name : {"junk/1.png", "junk/2.png"}) write_text(tiny / name, "junk");
    // Damaged runs: with an incomplete checkpoint, without a checkpoint, with another
    // configuration.
    for (const char* name : {"torn", "bare", "edited"}) {
      fs::copy(tiny / "run", tiny / name, fs::copy_options::recursive);
    }
    const fs::path ema = fs::path(tiny / "torn") / "checkpoints/step-00000001/ema.safetensors";
    fs::resize_file(ema, fs::file_size(ema) / 2);
    fs::remove_all(fs::path(tiny / "bare") / "checkpoints");
    std::string config = read_text(fs::path(tiny / "edited") / "config.yaml");
    config.replace(config.find("seed: 0"), 7, "seed: 1");
    write_text(fs::path(tiny / "edited") / "config.yaml", config);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void expect_refused(const std::string& program, const std::vector<WrongCall>& calls) const {
    const auto before = tiny_.contents();
    for (const WrongCall& call : calls) {
      std::string line = program;
      for (const std::string& argument : call.arguments) line += " " + argument;
      SCOPED_TRACE(line);
      const Finished done = tiny_.run(program, call.arguments);
      EXPECT_EQ(done.exit_code, call.exit_code);
      EXPECT_EQ(done.out, "");
      EXPECT_THAT(done.err, testing::StartsWith("error: "));
      EXPECT_THAT(done.err, testing::EndsWith("\n"));
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
      EXPECT_LT(done.err.size(), 500U) << done.err;
      for (const std::string& name : call.named) EXPECT_THAT(done.err, testing::HasSubstr(name));
      ASSERT_TRUE(tiny_.contents() == before) << "something was written";
    }
  }

  /// Calls with `arguments` and --device cuda, which fail only when there is no CUDA device.
  static std::vector<WrongCall> without_cuda(const std::vector<std::string>& arguments) {
    if (!resolve_device("auto").is_cpu()) return {};
    std::vector<WrongCall> calls;
    for (const char* name : {"cuda", "cuda:0"}) {
      calls.push_back({arguments, {name, "no CUDA device", "auto and cpu"}});
      calls.back().arguments.insert(calls.back().arguments.end(), {"--device", name});
    }
    return calls;
  }

  const TinyRun& tiny_ = *folder_;

 private:
  static void write_arrays(const TinyRun& tiny) {
    write_images(tiny / "large.npz", 4, true, 1, 16);
    write_images(tiny / "empty.npz", 0, true);
    write_images(tiny / "four.npz", 4, true, 1, kSize, 4);
    write_images(tiny / "colour.npz", 4, true, 1, kSize, 3);
    const auto write = [&](const std::string& name, const at::Tensor& images,
                           const at::Tensor& labels) {
      NpzWriter npz(tiny / name);
      npz.write("arr_0", images);
      npz.write("arr_1", labels);
      npz.close();
    };
    write("strange.npz", at::full({4, 8, 8, 1}, 7, at::kByte), at::arange(7, 11, at::kLong));
    write("few.npz", at::full({4, 8, 8, 1}, 7, at::kByte), at::arange(3, at::kLong));
    write("long.npz", at::full({4, 8, 10, 1}, 7, at::kByte), at::arange(4, at::kLong));
    write("real.npz", at::full({4, 8, 8, 1}, 0.5, at::kFloat), at::arange(4, at::kLong));
    write_npy(tiny / "two.npy", numbers(1, {2, 1, 8, 8}));
    write_npy(tiny / "whole.npy", at::full({2, 1, 8, 8}, 1, at::kLong));
  }

  inline static std::unique_ptr<TinyRun> folder_;
};

}  // namespace cdm::test
