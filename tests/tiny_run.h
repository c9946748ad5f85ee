// SPDX-License-Identifier: MIT
// Helpers for tests of whole programs: small data sets, small configurations, and runs of them.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cdm/device/random.h"
#include "cdm/io/npz.h"
#include "cdm/run/checkpoint.h"
#include "group.h"
#include "process.h"

namespace cdm::test {

constexpr std::int64_t kImages = 32;
constexpr std::int64_t kSize = 8;
constexpr std::int64_t kClasses = 3;

/// Writes an .npz of random images [count, size, size, channels], with labels 0, 1, 2, 0, ... if
/// `labels`.
inline void write_images(const std::string& file, std::int64_t count, bool labels,
                         std::uint64_t seed = 1, std::int64_t size = kSize,
                         std::int64_t channels = 1) {
  NpzWriter npz(file);
  npz.write("arr_0", uniform({seed, Purpose::noise, 0}, {count, size, size, channels},
                             at::TensorOptions().dtype(at::kFloat))
                         .mul(256)
                         .to(at::kByte));
  if (labels) npz.write("arr_1", at::arange(count, at::kLong).remainder(kClasses));
  npz.close();
}

/// A folder with data sets and configurations. train.npz and test.npz have labels, plain.npz has
/// none. tiny.yaml is a class-conditional MLP that trains for 20 quick steps, plain.yaml the same
/// without classes, unet.yaml a small UNet with dropout.
class TinyRun {
 public:
  TinyRun() {
    write_images(*this / "train.npz", kImages, true);
    write_images(*this / "test.npz", kImages, true, 2);
    write_images(*this / "plain.npz", kImages, false, 3);
    const std::string common =
        "device: cpu\n"
        "data: {kind: npz, path: train.npz, test_path: test.npz}\n"
        "diffusion: {steps: 20}\n"
        "train: {iterations: 20, batch_size: 8, learning_rate: 1.0e-3, warmup: 0, ema_start: 0,\n"
        "        log_every: 5, checkpoint_every: 5, sample_every: 10, sample_count: 4,\n"
        "        nll_every: 10, nll_images: 0}\n"
        "sample: {steps: 10}\n";
    const std::string mlp = common + "model: {kind: mlp, channels: 16, res_blocks: 2";
    write_text(*this / "tiny.yaml", mlp + ", num_classes: 3}\n");
    write_text(*this / "plain.yaml", mlp + "}\n");
    write_text(*this / "unet.yaml",
               common +
                   "model: {kind: unet, channels: 8, channel_mult: [1, 2], res_blocks: 1,\n"
                   "        attention_resolutions: [4], dropout: 0.2}\n");
  }

  std::string folder() const { return folder_.path().string(); }
  /// The path of a file in the folder.
  std::string operator/(const std::string& name) const { return folder_ / name; }

  /// Runs `program` with this folder as its working directory.
  Finished run(const std::string& program, const std::vector<std::string>& arguments) const {
    return test::run(program, arguments, options());
  }
  /// The same, expecting success. Returns the standard output.
  std::string run_well(const std::string& program,
                       const std::vector<std::string>& arguments) const {
    return test::run_well(program, arguments, options());
  }

  /// The arguments of cdm-train for the configuration CONFIG.yaml and the run directory `run`.
  /// `settings` are the values of --set.
  static std::vector<std::string> arguments(const std::string& config, const std::string& run,
                                            const std::vector<std::string>& settings = {}) {
    std::vector<std::string> words = {config + ".yaml", "--run-dir", run};
    for (const std::string& setting : settings) {
      words.insert(words.end(), {"--set", setting});
    }
    return words;
  }
  /// Starts a training with these arguments.
  Process start_training(const std::string& config, const std::string& run,
                         const std::vector<std::string>& settings = {}) const {
    return {"cdm-train", arguments(config, run, settings), options()};
  }
  /// The same, and waits for it.
  Finished train(const std::string& config, const std::string& run,
                 const std::vector<std::string>& settings = {}) const {
    return this->run("cdm-train", arguments(config, run, settings));
  }

  /// Starts `size` processes of one group, all with the same program and arguments.
  std::vector<std::unique_ptr<Process>> start_group(int size, const std::string& program,
                                                    const std::vector<std::string>& words) const {
    const std::string port = std::to_string(free_port());
    std::vector<std::unique_ptr<Process>> group;
    for (int rank = 0; rank < size; ++rank) {
      ProcessOptions place = options();
      place.environment.insert(place.environment.end(),
                               {"RANK=" + std::to_string(rank),
                                "WORLD_SIZE=" + std::to_string(size), "MASTER_PORT=" + port});
      group.push_back(std::make_unique<Process>(program, words, place));
    }
    return group;
  }
  /// The same, and waits for all. Returns how the first one ended, and expects the others to
  /// succeed and to print nothing.
  Finished run_group(int size, const std::string& program,
                     const std::vector<std::string>& words) const {
    const auto group = start_group(size, program, words);
    const Finished first = group.front()->wait();
    for (std::size_t rank = 1; rank < group.size(); ++rank) {
      const Finished other = group[rank]->wait();
      EXPECT_EQ(other.exit_code, 0) << other.err;
      EXPECT_EQ(other.out + other.err, "");
    }
    return first;
  }

  /// The path of every file and folder below the folder, with a hash of its content.
  std::map<std::string, std::size_t> contents() const {
    std::map<std::string, std::size_t> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      std::error_code loop;  // a link to itself
      found[entry.path().string()] =
          entry.is_regular_file(loop) ? std::hash<std::string>()(read_text(entry.path())) : 0;
    }
    return found;
  }

 private:
  /// One thread per process: tests run side by side, and more threads would wait for each other.
  ProcessOptions options() const {
    return {.folder = folder(), .environment = {"OMP_NUM_THREADS=1"}};
  }

  TemporaryFolder folder_;
};

/// Names of the files and folders in `folder`, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::map<std::string, int> sorted;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    sorted[entry.path().filename().string()] = 0;
  }
  std::vector<std::string> names;
  for (const auto& [name, _] : sorted) names.push_back(name);
  return names;
}

/// The lines of a run's metrics.jsonl.
inline std::vector<nlohmann::json> read_metrics(const std::string& run) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(std::filesystem::path(run) / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// Waits, at most two minutes, until `holds` returns true. `what` names it for the failure message.
inline void wait_until(const std::function<bool()>& holds, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!holds()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "waited in vain for " << what;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// The folder of the newest checkpoint, even if it is damaged; empty when there is none.
inline std::string newest_checkpoint(const std::string& run) {
  const std::vector<std::filesystem::path> all = list_checkpoints(run + "/checkpoints");
  return all.empty() ? "" : all.back().string();
}

/// Expects the checkpoints of `step` in two runs to have the same bytes.
inline void expect_same_state(const std::string& run, const std::string& other, std::int64_t step) {
  for (const char* file : {"model", "ema", "optimizer"}) {
    const std::string name = "/checkpoints/" + checkpoint_name(step) + "/" + file + ".safetensors";
    const std::string bytes = read_text(run + name);
    EXPECT_FALSE(bytes.empty()) << run << name;
    EXPECT_TRUE(bytes == read_text(other + name)) << name << " differs";
  }
}

}  // namespace cdm::test
