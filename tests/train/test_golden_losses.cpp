// SPDX-License-Identifier: MIT
// Ten training steps against the same ten steps in PyTorch, whose numbers
// tests/python/make_golden_losses.py has written to tests/data.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include "arrays.h"
#include "cdm/config/config.h"
#include "cdm/core/text.h"
#include "cdm/io/safetensors.h"
#include "cdm/ops/ops.h"
#include "cdm/train/learner.h"
#include "support.h"

namespace cdm {
namespace {

std::filesystem::path data_file(const std::string& name) {
  return std::filesystem::path(CDM_TEST_DATA) / "data" / name;
}

std::uint32_t hash32(std::uint32_t value) {
  value = (value ^ (value >> 16)) * 0x7FEB352DU;
  value = (value ^ (value >> 15)) * 0x846CA68BU;
  return value ^ (value >> 16);
}

/// The script's initial value of a parameter.
at::Tensor initial_value(const std::string& name, at::IntArrayRef shape) {
  std::uint32_t start = 2166136261U;
  for (const char byte : name) start = (start ^ static_cast<unsigned char>(byte)) * 16777619U;
  at::Tensor value = at::empty(shape, at::kDouble);
  auto* const numbers = value.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < value.numel(); ++i) {
    numbers[i] = (hash32(start + static_cast<std::uint32_t>(i)) >> 8) / 8388608.0 - 1.0;
  }
  if (shape.size() > 1) {
    const double fan_in = name == "label_emb.weight"
                              ? 1.0
                              : static_cast<double>(value.numel()) / static_cast<double>(shape[0]);
    return value.mul_(std::sqrt(3.0 / fan_in));
  }
  return value.mul_(0.25).add_(name.ends_with("weight") ? 1.0 : 0.0);
}

using Case = std::tuple<std::string, at::ScalarType, bool>;  // config, precision, fused ops

class GoldenLosses : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { ops::set_fused(std::get<bool>(GetParam())); }
  void TearDown() override { ops::set_fused(was_fused_); }

 private:
  bool was_fused_ = ops::fused();
};

TEST_P(GoldenLosses, TenStepsAgree) {
  const auto& [name, type, fused] = GetParam();
  const double tolerance = type == at::kDouble ? 1e-9 : 1e-4;
  std::map<std::string, at::Tensor> golden;
  for (const auto& [key, tensor] :
       test::read_safetensors(data_file("golden_losses.safetensors")).tensors)
    if (key.starts_with(name + ".")) golden[key.substr(name.size() + 1)] = tensor;

  const RunConfig config = load_config(data_file("golden_" + name + ".yaml"));
  const at::Tensor& x0 = golden.at("x0");  // [steps, B, C, H, W]
  const NoiseSchedule schedule(config.diffusion);
  Learner learner(config, {x0.size(2), x0.size(3), schedule.levels()}, at::kCPU, type);
  TrainingState start = learner.state();
  for (auto* const weights : {&start.model, &start.ema}) {
    for (auto& [key, value] : *weights) value = initial_value(key, value.sizes());
  }
  learner.restore(start, "formula");

  for (std::int64_t k = 0; k < x0.size(0); ++k) {
    StepInputs inputs = {
        test::training_rows(x0[k].to(type), golden.at("t")[k], golden.at("noise")[k].to(type))};
    if (golden.contains("labels")) inputs.labels = golden.at("labels")[k];
    const StepReport report = learner.step(inputs);
    const auto expect = [&](const std::string& what, const at::Tensor& actual) {
      test::expect_close(actual, golden.at(what)[k], tolerance, concat(what, " of step ", k));
    };
    expect("total", report["loss"]);
    expect("ce", report["ce"]);
    expect("mse", report["mse"]);
    expect("gradient_norm", report.gradient_norm);
    const double learning_rate = golden.at("learning_rate")[k].item<double>();
    EXPECT_NEAR(report.learning_rate, learning_rate, 1e-15) << k;
  }

  std::size_t compared = 0;
  const TrainingState end = learner.state();
  for (const auto& [prefix, weights] : {std::pair("weights.", &end.model), {"ema.", &end.ema}}) {
    for (const auto& [key, value] : *weights) {
      const auto expected = golden.find(prefix + key);
      if (expected == golden.end()) continue;
      test::expect_close(value.detach(), expected->second, tolerance, prefix + key);
      ++compared;
    }
  }
  EXPECT_GE(compared, 12U);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [name, type, fused] = info.param;
  return concat(name, type == at::kDouble ? "_float64" : "_float32", fused ? "_fused" : "_plain");
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenLosses,
                         testing::Combine(testing::Values("uncond", "cond"),
                                          testing::Values(at::kDouble, at::kFloat),
                                          testing::Bool()),
                         case_name);

}  // namespace
}  // namespace cdm
