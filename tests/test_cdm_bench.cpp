// SPDX-License-Identifier: MIT
// cdm-bench as a user runs it: the object that --json prints, and the table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CdmBench : public testing::Test {
 protected:
  std::string bench(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--image-size", "8", "--channels", "1", "--repeats", "2"});
    return tiny_.run_well("cdm-bench", arguments);
  }

  test::TinyRun tiny_;
};

std::vector<std::string> members(const nlohmann::ordered_json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

TEST_F(CdmBench, PrintsOneObjectWithAMemberPerKindOfWork) {
  const auto json = nlohmann::ordered_json::parse(bench({"unet.yaml", "--json", "--batch", "3"}));
  EXPECT_THAT(members(json), ElementsAre("train", "sample", "nll"));
  for (const auto& [what, numbers] : json.items()) {
    for (const char* name : {"median_ms", "images_per_s", "peak_memory_bytes", "flop_per_s"}) {
      EXPECT_GT(numbers.at(name).get<double>(), 0.0) << what << " " << name;
    }
    EXPECT_TRUE(numbers.at("peak_memory_bytes").is_number_integer());
    EXPECT_NEAR(numbers.at("images_per_s").get<double>() * numbers.at("median_ms").get<double>(),
                3000.0, 1e-6);
  }
  // In forward passes' worth of work a training step is 6, a sampler's 2, a score 1.
  const auto work = [&](const char* what) {
    return json.at(what).at("flop_per_s").get<double>() *
           json.at(what).at("median_ms").get<double>();
  };
  EXPECT_NEAR(work("train") / work("nll"), 6.0, 1e-6);
  EXPECT_NEAR(work("sample") / work("nll"), 2.0, 1e-6);
}

TEST_F(CdmBench, DoesWhatItIsAskedToInTheOrderAskedFor) {
  const auto json =
      nlohmann::ordered_json::parse(bench({"tiny.yaml", "--json", "--what", "nll,train"}));
  EXPECT_THAT(members(json), ElementsAre("nll", "train"));
  // The batch is the configuration's: 8.
  EXPECT_NEAR(json.at("nll").at("images_per_s").get<double>() *
                  json.at("nll").at("median_ms").get<double>(),
              8000.0, 1e-6);
}

TEST_F(CdmBench, LeavesOutTheDensityOfAPlainDenoiser) {
  const std::vector<std::string> ddm = {
      "unet.yaml", "--set", "model.predicts=noise", "--set", "loss.kind=denoising", "--json"};
  EXPECT_THAT(members(nlohmann::ordered_json::parse(bench(ddm))), ElementsAre("train", "sample"));
  const test::Finished refused =
      tiny_.run("cdm-bench", {"unet.yaml", "--set", "model.predicts=noise", "--set",
                              "loss.kind=denoising", "--what", "train,nll"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--what nll: model.predicts = noise has no density"));
  EXPECT_EQ(refused.out, "");
}

TEST_F(CdmBench, PrintsATable) {
  const std::string out = bench({"tiny.yaml", "--what", "sample", "--set", "train.batch_size=5"});
  EXPECT_THAT(out, HasSubstr("batch 5 on cpu, 1 threads, fp32, fused operations, "));
  EXPECT_THAT(out, HasSubstr("work    median ms   images/s"));
  EXPECT_THAT(out, HasSubstr("\nsample "));
  EXPECT_THAT(out, testing::Not(HasSubstr("\ntrain ")));
  EXPECT_THAT(bench({"tiny.yaml", "--what", "sample", "--set", "operations=plain"}),
              HasSubstr("fp32, plain operations, "));
}

}  // namespace
}  // namespace cdm
