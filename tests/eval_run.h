// SPDX-License-Identifier: MIT
// A fixture for tests of cdm-eval.
#pragma once

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "cdm/io/image.h"
#include "tiny_run.h"

namespace cdm::test {

/// Trains tiny runs, and has data to evaluate them on.
class EvalRun : public testing::Test {
 protected:
  void train(const std::string& run, const std::vector<std::string>& settings = {}) {
    std::vector<std::string> all = {"train.iterations=2", "train.sample_every=0"};
    all.insert(all.end(), settings.begin(), settings.end());
    const Finished done = tiny_.train("unet", run, all);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  nlohmann::json json(const std::string& file) {
    return nlohmann::json::parse(read_text(tiny_ / file));
  }
  /// Changes a JSON file that a program has written.
  void change(const std::string& file, const std::function<void(nlohmann::json&)>& how) {
    nlohmann::json content = json(file);
    how(content);
    write_text(tiny_ / file, content.dump());
  }
  /// Replaces `text`, which must be there, in a file.
  void replace(const std::string& file, const std::string& text, const std::string& by) {
    std::string content = read_text(tiny_ / file);
    const std::size_t at = content.find(text);
    ASSERT_NE(at, std::string::npos) << text;
    write_text(tiny_ / file, content.replace(at, text.size(), by));
  }
  /// Runs a program with a folder of the run's as its working directory.
  Finished run_in(const std::string& folder, const std::string& program,
                  const std::vector<std::string>& arguments) {
    std::filesystem::create_directories(tiny_ / folder);
    return run(program, arguments,
               {.folder = tiny_ / folder, .environment = {"OMP_NUM_THREADS=1"}});
  }
  bool exists(const std::string& file) { return std::filesystem::exists(tiny_ / file); }

  /// Five grey pictures of 16 x 16 pixels in each of the folders 0, 1 and 2.
  void write_pictures(const std::string& folder, int shade = 0) {
    for (int i = 0; i < 15; ++i) {
      const std::filesystem::path of_class = tiny_ / concat(folder, "/", i % 3);
      std::filesystem::create_directories(of_class);
      write_png(of_class / concat(i, ".png"), at::full({1, 16, 16}, 16 * i + shade, at::kByte));
    }
  }

  TinyRun tiny_;
};

}  // namespace cdm::test
