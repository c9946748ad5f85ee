// SPDX-License-Identifier: MIT
// cdm-bench as a user runs it: the object that --json prints, and the table.
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "messages.h"
#include "support.h"
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
    for (const char* name : {"ready_s", "first_s", "median_ms", "images_per_s", "peak_memory_bytes",
                             "flop_per_s", "share_of_matrix_product"}) {
      EXPECT_GT(numbers.at(name).get<double>(), 0.0) << what << " " << name;
    }
    // A CPU replays nothing, and has done its work when a call returns.
    EXPECT_FALSE(numbers.contains("replay_s") || numbers.contains("pipelined_ms"));
    EXPECT_TRUE(numbers.at("peak_memory_bytes").is_number_integer());
    EXPECT_NEAR(numbers.at("images_per_s").get<double>() * numbers.at("median_ms").get<double>(),
                3000.0, 1e-6);
  }
}

/// Floating-point operations of the matrix products that the last call of flop_of saw.
std::int64_t products = 0;

/// Counts the matrix products that this thread does in `work`, as ATen itself calls them: two
/// operations for each multiplication with an addition.
double flop_of(const std::function<void()>& work) {
  products = 0;
  const auto count = [](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
    const std::string_view name = call.name();
    if (name != "aten::mm" && name != "aten::addmm") return nullptr;
    const auto inputs = call.inputs();
    const std::size_t left = name == "aten::mm" ? 0 : 1;
    const at::Tensor a = inputs[left].toTensor();
    products += 2 * a.numel() * inputs[left + 1].toTensor().size(1);
    return nullptr;
  };
  const at::CallbackHandle handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(count).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(handle);
  return static_cast<double>(products);
}

// In a deep network: a step needs no gradient by the images, so that the first layer costs less.
TEST_F(CdmBench, CountsTheArithmeticThatIsDone) {
  for (const std::string loss : {"cdm", "nce"}) {
    SCOPED_TRACE(loss);
    std::vector<std::string> settings = {"model.channels=64", "model.res_blocks=12",
                                         "loss.kind=" + loss};
    if (loss == "nce") settings.emplace_back("diffusion.steps=0");
    std::vector<std::string> arguments = {"plain.yaml", "--json"};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    const auto json = nlohmann::json::parse(bench(arguments));
    const auto claimed = [&](const char* what) {
      return json.at(what).at("flop_per_s").get<double>() *
             json.at(what).at("median_ms").get<double>() / 1000.0;
    };
    RunConfig config = load_config(tiny_ / "plain.yaml", settings);
    config.data.image_size = test::kSize;
    config.data.channels = 1;
    Learner learner(config, network_shape(config), at::kCPU);
    const at::Tensor x =
        test::numbers(1, {config.train.batch_size, 1, test::kSize, test::kSize}, at::kFloat);
    const StepInputs inputs = test::step_inputs(config, 0, x);
    const Model& model = learner.average();
    const double train = flop_of([&] { learner.step(inputs); });
    EXPECT_NEAR(claimed("train"), train, 0.05 * train);
    const at::Tensor& t = inputs["t"];
    EXPECT_DOUBLE_EQ(claimed("sample"), flop_of([&] { model.predict_noise(x, t); }));
    EXPECT_DOUBLE_EQ(claimed("nll"), flop_of([&] { model.density().log_prob(x, t); }));
  }
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

TEST_F(CdmBench, TimesAnchoredNetworks) {
  const std::vector<std::string> anchored = {"plain.yaml", "--set", "model.anchor=gaussian",
                                             "--json"};
  EXPECT_THAT(members(nlohmann::ordered_json::parse(bench(anchored))),
              ElementsAre("train", "sample", "nll"));
}

TEST_F(CdmBench, LeavesOutTheDensityOfAPlainDenoiser) {
  const std::vector<std::string> ddm = {
      "unet.yaml", "--set", "model.predicts=noise", "--set", "loss.kind=denoising", "--json"};
  EXPECT_THAT(members(nlohmann::ordered_json::parse(bench(ddm))), ElementsAre("train", "sample"));
  const test::Finished refused =
      tiny_.run("cdm-bench", {"unet.yaml", "--set", "model.predicts=noise", "--set",
                              "loss.kind=denoising", "--what", "train,nll"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, test::mentions("--what nll", "model.predicts = noise", "no density"));
  EXPECT_EQ(refused.out, "");
}

TEST_F(CdmBench, PrintsATable) {
  const std::string out = bench({"tiny.yaml", "--what", "sample", "--set", "train.batch_size=5"});
  EXPECT_THAT(out, test::mentions("batch 5", "cpu", "fp32", "matrices of 2048", "ready after",
                                  "first s", "replay s", "median ms", "images/s"));
  EXPECT_THAT(out, HasSubstr("\nsample "));
  EXPECT_THAT(out, testing::Not(HasSubstr("\ntrain ")));
}

}  // namespace
}  // namespace cdm
