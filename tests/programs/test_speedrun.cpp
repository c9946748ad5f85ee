// SPDX-License-Identifier: MIT
// tools/speedrun.sh with small scripts in place of the programs: which calls it makes, what its row
// says, and how it goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "process.h"

namespace cdm::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// What the scripts in place of the programs do is chosen by these variables: the last line of the
/// training's log, the trainer's seconds, the score by one forward pass, the number of classes.
struct Fakes {
  std::string log = "train.max_minutes reached: 1200 steps in 6 min 54 s";
  std::string seconds = "400";
  std::string score = "3.1";
  std::string classes = "0";
};

class Speedrun : public testing::Test {
 protected:
  Speedrun() {
    const fs::path project = fs::path(CDM_TEST_DATA) / "..";
    for (const char* const folder : {"tools", "build/release/bin", "path", "data/fashion_mnist"}) {
      fs::create_directories(folder_ / folder);
    }
    fs::copy(project / "tools/speedrun.sh", folder_ / "tools");
    fs::copy(project / "tools/speedrun", folder_ / "tools/speedrun");
    fs::copy(project / "configs", folder_ / "configs");
    const std::string note = "echo \"$(basename $0) $*\" >> " + calls() + "\n";
    const std::string last = "for last; do :; done\n";  // the last argument
    script(
        "build/release/bin/cdm-train",
        "if [ \"$1\" = --version ]; then printf 'cdm 1\nrevision abc123\n'; exit; fi\n" + note +
            last + "if [ \"$last\" = --dry-run ]; then exit; fi\n" +
            "mkdir -p \"$last/checkpoints/step-00001200\"\n"
            "echo \"{\\\"seconds\\\": $SECONDS_}\" > $last/checkpoints/step-00001200/state.json\n"
            "printf \"model:\n  num_classes: $CLASSES\ntrain:\n  batch_size: 32\n\""
            " > $last/config.yaml\n"
            "echo '{\"step\": 1200, \"test_gap_bits_per_dim\": 0.1}' > $last/metrics.jsonl\n"
            "echo \"$LOG\" > $last/log.txt");
    script(
        "build/release/bin/cdm-nll",
        note + last +
            "mean() { echo \"\\\"$1\\\": {\\\"mean\\\": $2, \\\"interval_95\\\": [3, 3.3]}\"; }\n"
            "echo \"{\\\"checkpoint\\\": \\\"run/checkpoints/step-00001200\\\", \\\"images\\\": 9, "
            "\\\"means\\\": {$(mean bits_per_dim $SCORE), $(mean denoiser_bound_bits_per_dim 3.2), "
            "$(mean gap_bits_per_dim -0.1)}}\" > $last.json");
    script("build/release/bin/cdm-sample", note);
    script("build/release/bin/cdm-eval",
           note + last +
               "mkdir -p $last\n"
               "case $1 in\n"
               "levels) echo '[{\"ce_nats\": 4.25, \"accuracy\": 0.1, \"mse\": 0.2}]' "
               "> $last/levels.json ;;\n"
               "agreement) echo '[{\"share_agreeing\": 0.75}]' > $last/agreement.json ;;\n"
               "fid) echo '[{\"measure\": \"FD (fashion_cnn)\", \"value\": 12.5, \"images\": 500, "
               "\"network_sha256\": \"x\"}, {\"measure\": \"broken\", \"value\": 0.5, "
               "\"range_low\": 1, \"range_high\": 30}]' > $last/fid.json\n"
               "{ echo image,total_variation,broken; for i in $(seq 0 99); do\n"
               "echo $i,5,$((i % 21 == 0)); done; } > $last/fid-images.csv ;;\n"
               "esac");
    script("path/nvidia-smi", "echo 'NVIDIA Test'");
    script("path/taskset", "echo \"taskset $1 $2\" >> " + calls() + "\nshift 2\nexec \"$@\"");
  }

  void script(const fs::path& name, const std::string& text) const {
    write_text(folder_ / name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  std::string calls() const { return folder_ / "calls"; }
  std::string called() const { return read_text(calls()); }
  Finished speedrun(std::vector<std::string> words, const Fakes& fakes = {}) const {
    words.insert(words.begin(), {"PATH=" + folder_ / "path" + ":/usr/bin:/bin", "LOG=" + fakes.log,
                                 "SECONDS_=" + fakes.seconds, "SCORE=" + fakes.score,
                                 "CLASSES=" + fakes.classes, folder_ / "tools/speedrun.sh"});
    return run("/usr/bin/env", words);
  }
  nlohmann::json results(const std::string& out) const {
    return nlohmann::json::parse(read_text(folder_ / (out + "/speedrun.json")));
  }

  TemporaryFolder folder_;
};

TEST_F(Speedrun, TrainsScoresAndPrintsARow) {
  const std::string out = folder_ / "runs/speedrun/cpu-7-quickstart-0";
  const Finished finished = speedrun({"cpu"});
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  // Where Debian's package is installed, its images are taken.
  const std::string installed = "/usr/share/datasets/fashion-mnist";
  const std::string data = fs::is_directory(installed) ? installed : folder_ / "data/fashion_mnist";
  EXPECT_THAT(called(), HasSubstr("taskset -c "));
  EXPECT_THAT(called(),
              HasSubstr("configs/quickstart.yaml --set data.kind=fashion_mnist --set data.path=" +
                        data + " --set data.dequantize=uniform --set seed=0 --set " +
                        "device=cpu --set train.max_minutes=6.9 --run-dir " + out + "/run\n"));
  EXPECT_THAT(called(),
              HasSubstr("cdm-nll " + out + "/run --split test --check 4 --seed 0 --out "));
  EXPECT_THAT(called(), HasSubstr("cdm-eval levels " + out + "/run --split test --out "));
  EXPECT_THAT(called(), HasSubstr("cdm-sample " + out + "/run -n 64 --seed 0 --grid " + out +
                                  "/samples.png"));
  EXPECT_THAT(called(), HasSubstr("cdm-sample " + out + "/run -n 500 --seed 0 --out " + out +
                                  "/samples.npz"));
  EXPECT_THAT(called(), HasSubstr("fid --samples " + out + "/samples.npz --reference " + data +
                                  " --split train"));
  EXPECT_THAT(called(), HasSubstr("cdm-eval training " + out + "/run"));
  EXPECT_THAT(called(), Not(HasSubstr("agreement")));
  // 1200 steps of 32 images in 400 s; the worse of 3.1 and 3.2; images 0, 21, 42 and 63.
  EXPECT_THAT(finished.out, AllOf(HasSubstr("| quickstart | 0 | 7 | 2 cores"),
                                  HasSubstr("| abc123 | 1,200 | 96 | **3.200** | "
                                            "3.1000 (3.0000 to 3.3000) | 3.2000 (3.0000 to 3.3000) "
                                            "| -0.1000 | 4.250 | 12.50 | 4 | - |\n")));
  EXPECT_THAT(finished.out, HasSubstr(read_text(out + "/row.md")));
  EXPECT_THAT(finished.out, Not(HasSubstr("no record")));
  const std::string header = finished.out.substr(0, finished.out.find('\n'));
  const fs::path page = fs::path(CDM_TEST_DATA).parent_path() / "docs/speedrun.md";
  EXPECT_THAT(read_text(page), HasSubstr("\n" + header + "\n")) << "the table of the page";
  EXPECT_EQ(results("runs/speedrun/cpu-7-quickstart-0").at("score"), 3.2);
  EXPECT_TRUE(results("runs/speedrun/cpu-7-quickstart-0").at("within_the_rules"));

  // Again: nothing is repeated.
  const std::string before = called();
  const Finished again = speedrun({"cpu"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, finished.out);
  EXPECT_EQ(called(), before);
}

TEST_F(Speedrun, OnAGpuCountsTheTrainersTime) {
  const std::vector<std::string> words = {"gpu", "--minutes", "10",           "--seed",
                                          "3",   "--out",     folder_ / "out"};
  const Finished finished = speedrun(words, {.score = "3.4", .classes = "10"});
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(called(), HasSubstr("--set seed=3 --set device=cuda --set train.max_minutes=10 "));
  EXPECT_THAT(called(), Not(HasSubstr("taskset")));
  EXPECT_THAT(called(), HasSubstr("-n 10000 --seed 0 --class 0,1,2,3,4,5,6,7,8,9 --out "));
  EXPECT_THAT(called(), HasSubstr("cdm-eval agreement " + folder_ / "out/samples.npz"));
  EXPECT_THAT(finished.out, AllOf(HasSubstr("| quickstart_gpu | 3 | 10 | NVIDIA Test | "),
                                  HasSubstr("| **3.400** | "), HasSubstr("| 4 | 75 % |\n")));
  const Finished late = speedrun({"gpu"}, {.seconds = "185"});
  EXPECT_EQ(late.exit_code, 0) << late.err;
  EXPECT_THAT(late.out, HasSubstr("longer than its limit: it is no record"));
}

TEST_F(Speedrun, GoesOnAfterAFailureAndSaysSo) {
  write_text(folder_ / "mine.yaml", "{}\n");
  const std::vector<std::string> words = {"cpu", "--config", folder_ / "mine.yaml", "--minutes",
                                          "2"};
  const Finished stopped =
      speedrun(words, {.log = "SIGINT: saved step 4 of 9; the same command goes on"});
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, HasSubstr("stopped before its end"));
  EXPECT_THAT(called(), Not(HasSubstr("cdm-nll")));
  const std::string nll = read_text(folder_ / "build/release/bin/cdm-nll");
  script("build/release/bin/cdm-nll", "echo 'no memory' >&2\nexit 1");
  const Finished failed = speedrun(words);
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.err,
              AllOf(HasSubstr("no memory"), HasSubstr("failed: scoring the 10,000 test images")));
  EXPECT_EQ(failed.out, "");
  write_text(folder_ / "build/release/bin/cdm-nll", nll);
  const Finished resumed = speedrun(words);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out,
              AllOf(HasSubstr("| mine | 0 | 2 |"), HasSubstr("resumed: it is no record")));
  EXPECT_FALSE(results("runs/speedrun/cpu-2-mine-0").at("within_the_rules"));
}

TEST_F(Speedrun, ChecksTheConfigurationBeforeItTrains) {
  script("build/release/bin/cdm-train", "echo 'mine.yaml:1: no such key' >&2\nexit 2");
  const Finished finished = speedrun({"gpu"});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err,
              AllOf(HasSubstr("mine.yaml:1: no such key"), HasSubstr("failed: checking")));
}

TEST_F(Speedrun, DoesNotMixTwoEntries) {
  const std::string out = folder_ / "out";
  ASSERT_EQ(speedrun({"cpu", "--out", out}).exit_code, 0);
  for (const std::vector<std::string>& other :
       {std::vector<std::string>{"gpu"},
        {"cpu", "--seed", "1"},
        {"cpu", "--minutes", "3"},
        {"cpu", "--config", folder_ / "configs/fashion_gpu.yaml"}}) {
    std::vector<std::string> words = other;
    words.insert(words.end(), {"--out", out});
    const Finished finished = speedrun(words);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.err, HasSubstr(out + " holds another entry"));
  }
}

TEST_F(Speedrun, RefusesWrongCallsInOneLineAndItsUsage) {
  struct Wrong {
    std::vector<std::string> words;
    const char* told;
  };
  for (const Wrong& call : std::vector<Wrong>{{{}, "the track must be cpu or gpu"},
                                              {{"tpu"}, "'tpu'"},
                                              {{"cpu", "--fast", "1"}, "no option '--fast'"},
                                              {{"cpu", "--seed"}, "--seed needs a value"},
                                              {{"cpu", "--seed", "-1"}, "--seed -1"},
                                              {{"gpu", "--minutes", "0"}, "--minutes 0"},
                                              {{"cpu", "--minutes", "0.4"}, "at least 0.5"}}) {
    const Finished finished = speedrun(call.words);
    EXPECT_EQ(finished.exit_code, 2) << call.told;
    EXPECT_THAT(finished.err, AllOf(HasSubstr(call.told), HasSubstr("usage: tools/speedrun.sh")));
  }
  EXPECT_EQ(called(), "");
  const Finished none = speedrun({"cpu", "--config", "none.yaml"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("--config none.yaml: there is no such file"));
  fs::remove(folder_ / "build/release/bin/cdm-eval");
  EXPECT_THAT(speedrun({"cpu"}).err, HasSubstr("cdm-eval is missing: build the programs first"));
  EXPECT_THAT(speedrun({"--help"}).out, HasSubstr("usage: tools/speedrun.sh cpu|gpu"));
}

}  // namespace
}  // namespace cdm::test
