// SPDX-License-Identifier: MIT
// Networks of every kind and prediction: shapes, classes, time, and their dropout layers.
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "cdm/model/layers.h"
#include "cdm/model/network.h"
#include "support.h"

namespace cdm {
namespace {

using test::numbers;

at::Tensor levels_of(std::vector<std::int64_t> t) { return at::tensor(t, at::kLong); }

using Case = std::tuple<NetworkKind, Prediction, std::int64_t>;  // the last: classes

class AnyNetwork : public testing::TestWithParam<Case> {
 protected:
  AnyNetwork() {
    std::tie(config_.model.kind, config_.model.predicts, config_.model.num_classes) = GetParam();
    if (config_.model.kind == NetworkKind::unet) config_.model.dropout = 0.3;
  }
  bool predicts_noise() const { return config_.model.predicts == Prediction::noise; }

  RunConfig config_ = test::small_config();
};

TEST_P(AnyNetwork, PredictsWhatItSays) {
  const Model model = test::small_model(config_);
  const at::Tensor x = numbers(1, {3, 1, 8, 8});
  const at::Tensor out = model.network()(x, levels_of({1, 5, 20}), {});
  EXPECT_EQ(out.sizes(), predicts_noise() ? x.sizes() : at::IntArrayRef({3, 22}));
}

TEST_P(AnyNetwork, ARowDependsOnItselfAlone) {
  const Model model = test::small_model(config_);
  const at::Tensor x = numbers(1, {3, 1, 8, 8});
  const at::Tensor t = levels_of({1, 5, 20});
  const at::Tensor labels = config_.model.num_classes > 0 ? levels_of({0, 1, 2}) : at::Tensor();
  const at::Tensor whole = model.network()(x, t, labels);
  const at::Tensor one = model.network()(x.narrow(0, 1, 1), t.narrow(0, 1, 1),
                                         labels.defined() ? labels.narrow(0, 1, 1) : labels);
  test::expect_close(one, whole.narrow(0, 1, 1), 1e-12, "row 1");
}

TEST_P(AnyNetwork, KnowsTheTimeAndTheClassWhereItHasThem) {
  const Model model = test::small_model(config_);
  const at::Tensor x = numbers(1, {1, 1, 8, 8});
  const bool has_classes = config_.model.num_classes > 0;
  const auto out = [&](std::int64_t t, std::int64_t label) {
    return model.network()(x, levels_of({t}), has_classes ? levels_of({label}) : at::Tensor());
  };
  EXPECT_EQ(test::relative_error(out(15, 1), out(5, 1)) > 1e-4, predicts_noise());
  if (!has_classes) return;
  EXPECT_GT(test::relative_error(out(5, 2), out(5, 1)), 1e-4);
  EXPECT_TRUE(at::equal(model.network()(x, levels_of({5}), {}), out(5, 3)))
      << "no labels are the null class";
}

TEST_P(AnyNetwork, DropoutOfARowDependsOnItsNumberInTheBatch) {
  const Model model = test::small_model(config_);
  const at::Tensor x = numbers(1, {3, 1, 8, 8});
  const at::Tensor t = levels_of({5, 6, 7});
  DropoutMasks of_whole(9, 4, at::kCPU);
  DropoutMasks of_last(9, 6, at::kCPU);
  const at::Tensor whole = model.network()(x, t, {}, &of_whole);
  const at::Tensor last = model.network()(x.narrow(0, 2, 1), t.narrow(0, 2, 1), {}, &of_last);
  test::expect_close(last, whole.narrow(0, 2, 1), 1e-12, "row 2");
  if (config_.model.kind != NetworkKind::unet) return;  // has no dropout
  DropoutMasks of_first(9, 4, at::kCPU);
  const at::Tensor moved = model.network()(x.narrow(0, 2, 1), t.narrow(0, 2, 1), {}, &of_first);
  EXPECT_GT(test::relative_error(moved, last), 1e-4) << "the row's number had no effect";
}

TEST_P(AnyNetwork, ThatIsToldOfAugmentationsKnowsThemAndTakesNoneForZeros) {
  const Model untold = test::small_model(config_);
  config_.data.augment = 0.1;
  const Model model = test::small_model(config_);
  const at::Tensor x = numbers(1, {2, 1, 8, 8});
  const auto out = [&](const at::Tensor& told) {
    return model.network()(x, levels_of({1, 5}), {{}, told});
  };
  const at::Tensor none = at::zeros({2, kAugmentationNumbers});  // float32, as they are drawn
  EXPECT_TRUE(at::equal(out({}), out(none)));
  at::Tensor some = none.clone();
  some[0][3] = 1.0;
  const at::Tensor changed = out(some);
  EXPECT_GT(test::relative_error(changed[0], out(none)[0]), 1e-4);
  test::expect_close(changed[1], out(none)[1], 1e-12, "the row that was not augmented");
  // It has one parameter more, the last, and where it has an embedding anyway, only this.
  const NamedTensors& parameters = model.network().parameters();
  EXPECT_EQ(parameters.back().first, "augment_emb.weight");
  for (const auto& [name, value] : untold.network().parameters()) {
    EXPECT_TRUE(find_tensor(parameters, name).defined()) << name;
    EXPECT_NE(name, "augment_emb.weight");
  }
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [kind, predicts, classes] = info.param;
  return name_of(kind) + "_" + name_of(predicts) + (classes > 0 ? "_conditional" : "");
}

INSTANTIATE_TEST_SUITE_P(Networks, AnyNetwork,
                         testing::Combine(testing::ValuesIn(test::all_kinds<NetworkKind>()),
                                          testing::Values(Prediction::logits, Prediction::noise),
                                          testing::Values(0, 3)),
                         case_name);

TEST(UNet, WidthOfTheHeadCanBeSet) {
  RunConfig config = test::small_config();
  for (const std::int64_t given : {0, 5, 24}) {
    config.model.head_channels = given;
    const Model model = test::small_model(config);
    const std::int64_t expected = given == 0 ? 2 * config.model.channels : given;
    for (const auto& [name, tensor] : model.network().parameters()) {
      if (name.starts_with("conv_out.")) {
        EXPECT_EQ(tensor.size(0), expected);
      } else if (name == "linear_layer.weight") {
        EXPECT_EQ(tensor.size(1), expected);
      }
    }
  }
}

TEST(UNet, HasAsManyResolutionsAsTheImagesCanBeHalved) {
  using List = std::vector<std::int64_t>;
  ModelConfig config = test::small_config().model;
  config.channel_mult = {};
  const std::map<std::int64_t, List> expected = {
      {1, {1}},     {2, {1, 2}},        {27, {1}},          {28, {1, 2, 2}},
      {30, {1, 2}}, {32, {1, 2, 2, 2}}, {64, {1, 2, 2, 2}}, {4096, {1, 2, 2, 2}}};
  for (const auto& [size, list] : expected) {
    EXPECT_EQ(settle_resolutions(config, size).channel_mult, list) << size;
  }
  const auto network = make_network(config, {1, 12, 5}, 7);
  config.channel_mult = {1, 2, 2};
  const auto same = make_network(config, {1, 12, 5}, 7);
  ASSERT_EQ(network->parameters().size(), same->parameters().size());
  for (std::size_t i = 0; i < same->parameters().size(); ++i) {
    EXPECT_EQ(network->parameters()[i].first, same->parameters()[i].first);
    EXPECT_TRUE(at::equal(network->parameters()[i].second, same->parameters()[i].second));
  }
  EXPECT_EQ(settle_resolutions(config, 27).channel_mult, (List{1, 2, 2})) << "a list that is given";
}

TEST(TimeEmbedding, IsTheOneOfHo) {
  const at::Tensor e = time_embedding(levels_of({0, 7}), 4, test::real64());
  const double slow = 7.0 / 10000.0;
  const std::vector<double> expected = {std::sin(7.0), std::sin(slow), std::cos(7.0),
                                        std::cos(slow)};
  test::expect_close(e[0], at::tensor(std::vector<double>{0, 0, 1, 1}), 1e-15, "level 0");
  test::expect_close(e[1], at::tensor(expected), 1e-14, "level 7");
  EXPECT_EQ(time_embedding(levels_of({1}), 5, test::real64()).sizes(), at::IntArrayRef({1, 5}));
}

}  // namespace
}  // namespace cdm
