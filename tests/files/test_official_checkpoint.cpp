// SPDX-License-Identifier: MIT
// The authors' layout of a checkpoint, both ways. The fixtures are PyTorch's own
// (tests/python/make_torch_fixtures.py): two steps of Adam on the sum of the parameters' squares.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "cdm/core/error.h"
#include "cdm/io/torch_file.h"
#include "cdm/weights/official_checkpoint.h"
#include "equal_checkpoints.h"
#include "files.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_equal;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path kData = std::filesystem::path(CDM_TEST_DATA) / "data";

class OfficialCheckpointFiles : public test::FilesTest {
 protected:
  std::filesystem::path write(const TorchDict& content) const {
    const std::filesystem::path path = folder_ / "changed.pth";
    write_torch(path, content);
    return path;
  }
  /// The fixture's members, with one replaced.
  std::filesystem::path changed(const TorchKey& key, const TorchValue& replacement) const {
    TorchDict content;
    const TorchValue file = read_torch(kData / "official.pth");
    for (const auto& [name, value] : file.get<TorchDict>()->items) {
      content.items.emplace_back(name, name == key ? replacement : value);
    }
    return write(content);
  }
  /// Why that is refused.
  std::string refusal_with(const TorchKey& key, const TorchValue& replacement) const {
    const std::filesystem::path path = changed(key, replacement);
    const std::string message = test::user_error([&] { read_official_checkpoint(path); });
    EXPECT_THAT(message, HasSubstr(path.string()));
    return message;
  }
  /// A member of the fixture.
  static TorchValue member(const char* name) {
    return *read_torch(kData / "official.pth").get<TorchDict>()->find(name);
  }
};

TEST(OfficialCheckpoint, ReadsWhatPyTorchWrote) {
  const TrainingState state = read_official_checkpoint(kData / "official.pth").state;
  EXPECT_EQ(state.step, 2);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state.model) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("conv_in.weight", "conv_in.bias", "linear_layer.weight",
                                 "linear_layer.bias"));
  ASSERT_EQ(state.ema.size(), names.size());
  ASSERT_EQ(state.exp_avg.size(), names.size());
  ASSERT_EQ(state.exp_avg_sq.size(), names.size());
  // The average is where training started from, p. Adam's steps on p^2 are all but lr sign(p).
  constexpr double kRate = 2e-4;
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(state.ema[i].first, names[i]);
    EXPECT_EQ(state.exp_avg[i].first, names[i]);
    EXPECT_EQ(state.exp_avg_sq[i].first, names[i]);
    const at::Tensor p = state.ema[i].second.to(at::kDouble);
    const at::Tensor first = 2.0 * p;
    const at::Tensor second = 2.0 * (p - kRate * p.sign());
    test::expect_close(state.model[i].second, p - 2.0 * kRate * p.sign(), 1e-5, names[i]);
    test::expect_close(state.exp_avg[i].second, 0.09 * first + 0.1 * second, 1e-5, names[i]);
    test::expect_close(state.exp_avg_sq[i].second,
                       0.000999 * first.square() + 0.001 * second.square(), 1e-5, names[i]);
  }
}

TEST(OfficialCheckpoint, ReadsWrappedNames) {
  const TrainingState whole = read_official_checkpoint(kData / "official.pth").state;
  const TrainingState read = read_official_checkpoint(kData / "official_prefixed.pth").state;
  expect_equal(read.model, whole.model);
  expect_equal(read.ema, whole.ema);
}

TEST(OfficialCheckpoint, FillsInWhatIsMissing) {
  const TrainingState read = read_official_checkpoint(kData / "official_bare.pth").state;
  EXPECT_EQ(read.step, 0);
  expect_equal(read.ema, read.model);
  for (const NamedTensors* moments : {&read.exp_avg, &read.exp_avg_sq}) {
    ASSERT_EQ(moments->size(), read.model.size());
    for (std::size_t i = 0; i < moments->size(); ++i) {
      const auto& [name, weight] = read.model[i];
      EXPECT_EQ((*moments)[i].first, name);
      EXPECT_TRUE(at::equal((*moments)[i].second, at::zeros(weight.sizes(), weight.options())));
    }
  }
}

TEST_F(OfficialCheckpointFiles, HaveTheSameLayoutWhenWritten) {
  const std::filesystem::path path = folder_ / "written.pth";
  const TrainingState read = read_official_checkpoint(kData / "official.pth").state;
  TrainConfig config = RunConfig().train;
  config.learning_rate = 2e-4;
  write_official_checkpoint(path, read, config);
  expect_equal(read_official_checkpoint(path).state, read);

  const TorchValue file = read_torch(path);
  std::vector<std::string> parts;
  for (const auto& [key, value] : file.get<TorchDict>()->items) {
    parts.push_back(std::get<std::string>(key));
  }
  EXPECT_THAT(parts, ElementsAre("epoch", "model_state_dict", "ema_model_state_dict",
                                 "optimizer_state_dict", "loss"));
  EXPECT_TRUE(file.get<TorchDict>()->find("model_state_dict")->get<TorchDict>()->is_ordered);
  // The authors' loader goes on from this epoch.
  EXPECT_EQ(*file.get<TorchDict>()->find("epoch")->get<std::int64_t>(), 0);
  EXPECT_EQ(*file.get<TorchDict>()->find("loss")->get<double>(), 0.0);
}

TEST_F(OfficialCheckpointFiles, MayBeStrippedToTheWeights) {
  const TrainingState whole = read_official_checkpoint(kData / "official.pth").state;
  EXPECT_THAT(read_official_checkpoint(kData / "official.pth").warnings, IsEmpty());
  for (const TorchValue& empty :
       {TorchValue(), TorchValue(TorchDict()),
        TorchValue(TorchDict{{{"state", TorchDict()}, {"param_groups", TorchList()}}})}) {
    const OfficialCheckpoint read =
        read_official_checkpoint(changed("optimizer_state_dict", empty));
    EXPECT_EQ(read.state.step, 0);
    expect_equal(read.state.model, whole.model);
    expect_equal(read.state.ema, whole.ema);
    EXPECT_THAT(read.warnings, ElementsAre(HasSubstr("no state of the optimizer")));
  }
  const OfficialCheckpoint read =
      read_official_checkpoint(changed("ema_model_state_dict", TorchDict()));
  expect_equal(read.state.ema, whole.model);
  EXPECT_EQ(read.state.step, whole.step);
  EXPECT_THAT(read.warnings, ElementsAre(test::mentions("changed.pth", "'model_state_dict'",
                                                        "as their moving average")));
}

TEST_F(OfficialCheckpointFiles, NameWeightsThatAreNotRead) {
  const TorchValue model = member("model_state_dict"), average = member("ema_model_state_dict");
  const TorchValue optimizer = member("optimizer_state_dict");
  const auto first_warning = [&](const TorchDict& content) {
    const OfficialCheckpoint read = read_official_checkpoint(write(content));
    expect_equal(read.state.ema, read.state.model);
    return read.warnings.empty() ? "no warning" : read.warnings.front();
  };
  for (const char* const name : {"ema", "model_ema", "state_dict_ema"}) {
    EXPECT_THAT(first_warning(TorchDict{{{"model_state_dict", model},
                                         {name, average},
                                         {"optimizer_state_dict", optimizer},
                                         {"note", "text"}}}),
                test::mentions("changed.pth", "the weights of 'model_state_dict' were taken",
                               concat("'", name, "' holds"), "'ema_model_state_dict'"));
  }
  // As other libraries nest it.
  const TorchDict nested{{{"decay", 0.999}, {"shadow", average}}};
  EXPECT_THAT(first_warning(TorchDict{{{"model", model}, {"ema", nested}, {"optim", optimizer}}}),
              test::mentions("the weights of 'model' were taken", "'ema' holds"));
}

TEST_F(OfficialCheckpointFiles, MayNameTheWeightsInAnotherWay) {
  const TorchValue model = member("model_state_dict"), average = member("ema_model_state_dict");
  const NamedTensors expected = read_official_checkpoint(kData / "official.pth").state.model;
  const auto weights_of = [&](const TorchDict& content) {
    return read_official_checkpoint(write(content)).state.model;
  };
  expect_equal(weights_of(*model.get<TorchDict>()), expected);
  for (const char* const name : {"state_dict", "model", "net", "anything"}) {
    expect_equal(weights_of(TorchDict{{{name, model}, {"epoch", 3}}}), expected);
  }
  expect_equal(weights_of(TorchDict{{{"ema", average}, {"net", model}}}), expected);
  // The average under its own name is used with them.
  expect_equal(read_official_checkpoint(
                   write(TorchDict{{{"state_dict", model}, {"ema_model_state_dict", average}}}))
                   .state.ema,
               read_official_checkpoint(kData / "official.pth").state.ema);
  const auto path = write(TorchDict{{{"first", model}, {"second", average}}});
  EXPECT_THAT(test::user_error([&] { read_official_checkpoint(path); }),
              test::error_in(path, "several entries hold weights: first, second"));
  const auto none = write(TorchDict{{{"epoch", 3}}});
  EXPECT_THAT(test::user_error([&] { read_official_checkpoint(none); }),
              test::error_in(none, "it has no model_state_dict"));
}

TEST_F(OfficialCheckpointFiles, OfOtherLayoutsAreRefused) {
  const at::Tensor two = at::zeros({2});
  EXPECT_THAT(refusal_with("model_state_dict", TorchValue()), HasSubstr("wrong type"));
  EXPECT_THAT(refusal_with("model_state_dict", TorchDict()), HasSubstr("empty"));
  EXPECT_THAT(refusal_with("model_state_dict", TorchDict{{{"a", 1}}}),
              HasSubstr("'a' in model_state_dict is of the wrong type"));
  EXPECT_THAT(refusal_with("model_state_dict", TorchDict{{{5, two}}}), HasSubstr("not text"));
  EXPECT_THAT(refusal_with("model_state_dict", TorchDict{{{"a", two}, {"module.a", two}}}),
              HasSubstr("twice"));
  EXPECT_THAT(refusal_with("model_state_dict", TorchDict{{{"a\nb", two.to(at::kLong)}}}),
              HasSubstr("'a?b' in model_state_dict does not hold real numbers"));
  EXPECT_THAT(refusal_with("ema_model_state_dict", TorchDict{{{"a", two}}}),
              HasSubstr("ema_model_state_dict has 1 weights and model_state_dict 4"));
  EXPECT_THAT(refusal_with("optimizer_state_dict", TorchDict{{{"lr", 1.0}}}),
              HasSubstr("no state"));
  const auto adam = [&](std::int64_t number, const at::Tensor& moment, TorchValue step) {
    TorchDict state{{{"step", std::move(step)}, {"exp_avg", moment}, {"exp_avg_sq", moment}}};
    return TorchDict{{{"state", TorchDict{{{number, std::move(state)}}}}}};
  };
  EXPECT_THAT(refusal_with("optimizer_state_dict", adam(0, two, 1)),
              HasSubstr("exp_avg in Adam's state of parameter 0 is [2], while 'conv_in.weight' is "
                        "[2, 1, 3, 3]"));
  EXPECT_THAT(refusal_with("optimizer_state_dict", adam(4, two, 1)), HasSubstr("1 parameters"));
  EXPECT_THAT(refusal_with("optimizer_state_dict", adam(1, two, -1)), HasSubstr("is -1"));
  EXPECT_THAT(refusal_with("optimizer_state_dict", adam(1, two, two)), HasSubstr("one number"));
  EXPECT_THROW(read_official_checkpoint(kData / "torch_refused_function.pth"), UserError);
}

}  // namespace
}  // namespace cdm
