// SPDX-License-Identifier: MIT
// Numbers and names of classes: labels that follow names, and the words of --class.
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/data/classes.h"
#include "messages.h"

namespace cdm {
namespace {

using Names = std::vector<std::string>;
using test::mentions;
using test::user_error;
using testing::ElementsAre;
using testing::IsEmpty;

Dataset pictures(const std::vector<std::int64_t>& labels, const Names& names) {
  Dataset dataset;
  dataset.description = "pets";
  dataset.images = at::zeros({static_cast<std::int64_t>(labels.size()), 1, 2, 2}, at::kByte);
  dataset.labels = at::tensor(labels, at::kLong);
  dataset.class_names = names;
  return dataset;
}

std::vector<std::int64_t> labels_of(const Dataset& dataset) {
  const auto* const first = dataset.labels.const_data_ptr<std::int64_t>();
  return {first, first + dataset.size()};
}

TEST(Classes, LabelsFollowTheNamesOfTheModel) {
  const Names model = {"bird", "cat", "dog"};
  // Without birds, a folder numbers cats as 0 and dogs as 1.
  const Dataset same = with_classes(pictures({0, 1, 1, 0}, {"cat", "dog"}), model);
  EXPECT_THAT(labels_of(same), ElementsAre(1, 2, 2, 1));
  EXPECT_EQ(same.class_names, model);
  EXPECT_THAT(labels_of(with_classes(pictures({0, 0}, {"dog"}), model)), ElementsAre(2, 2));
  EXPECT_THAT(labels_of(with_classes(pictures({2, 0, 1}, model), model)), ElementsAre(2, 0, 1));
}

TEST(Classes, KeepLabelsOfDataWithoutNames) {
  const Dataset numbered = with_classes(pictures({1, 0}, {}), {"cat", "dog"});
  EXPECT_THAT(labels_of(numbered), ElementsAre(1, 0));
  EXPECT_EQ(numbered.class_names, Names({"cat", "dog"}));
  EXPECT_THAT(labels_of(with_classes(pictures({1, 0}, {"cat", "dog"}), {})), ElementsAre(1, 0));
  Dataset unlabelled = pictures({0}, {});
  unlabelled.labels = at::Tensor();
  EXPECT_FALSE(with_classes(unlabelled, {"cat", "dog"}).labels.defined());
}

TEST(Classes, RefuseImagesOfAnUnknownClass) {
  EXPECT_THAT(user_error([] {
                with_classes(pictures({0, 1}, {"cat", "wolf"}), {"cat", "dog"});
              }),
              mentions("pets", "'wolf'", "'cat', 'dog'"));
  // A class of which there are no images does no harm.
  EXPECT_THAT(labels_of(with_classes(pictures({1}, {"ant", "dog"}), {"cat", "dog"})),
              ElementsAre(1));
}

TEST(Classes, AreComparedByNameInTraining) {
  const Dataset dataset = pictures({0, 1}, {"cat", "wolf"});
  EXPECT_THAT(user_error([&] {
                require_same_classes(dataset, {"cat", "dog"}, "the run");
              }),
              mentions("pets", "the run", "missing: 'dog'", "new: 'wolf'"));
  EXPECT_THAT(user_error([&] { require_same_classes(dataset, {"cat"}, "the run"); }),
              mentions("new: 'wolf'"));
  require_same_classes(dataset, {"wolf", "cat"}, "the run");
  require_same_classes(pictures({0}, {}), {"cat", "dog"}, "the run");
}

TEST(Classes, WithoutImagesAreFound) {
  EXPECT_THAT(classes_without_images(pictures({0, 3, 3}, {}), 5), ElementsAre(1, 2, 4));
  EXPECT_THAT(classes_without_images(pictures({1, 0}, {}), 2), IsEmpty());
}

TEST(Classes, AreChosenByNameOrNumber) {
  const auto number = [](const std::string& word, const Names& names) {
    return class_number("--class ", word, 3, names);
  };
  const Names pets = {"bird", "cat", "dog"};
  EXPECT_EQ(number("dog", pets), 2);
  EXPECT_EQ(number("1", pets), 1);
  EXPECT_EQ(number("2", {}), 2);
  EXPECT_EQ(number("number:2", pets), 2);
  EXPECT_EQ(number("name:cat", pets), 1);
  const Names digits = {"0", "1", "2"};
  EXPECT_EQ(number("2", digits), 2);
  // Folders 1, 2, 3: class 1 is named 2.
  const Names shifted = {"1", "2", "3"};
  EXPECT_EQ(number("3", shifted), 2);
  EXPECT_EQ(number("0", shifted), 0);
  EXPECT_EQ(number("name:2", shifted), 1);
  EXPECT_EQ(number("number:2", shifted), 2);
  EXPECT_THAT(user_error([&] { number("2", shifted); }),
              mentions("--class 2", "name:2", "number:2", "'3'"));
  for (const char* const wrong : {"fish", "3", "-1", "", "1x", "name:1", "number:cat"}) {
    EXPECT_THAT(user_error([&] { number(wrong, pets); }),
                mentions("--class ", wrong, "0..2", "'bird', 'cat', 'dog'"));
  }
}

TEST(Classes, MayHaveCommasInTheirNames) {
  const Names fish = {"tench, Tinca tinca", "goldfish", "a", "b", "a,b"};
  EXPECT_THAT(class_words("goldfish,0", fish), ElementsAre("goldfish", "0"));
  EXPECT_THAT(class_words("tench, Tinca tinca", fish), ElementsAre("tench, Tinca tinca"));
  EXPECT_THAT(class_words("name:tench, Tinca tinca", fish), ElementsAre("name:tench, Tinca tinca"));
  EXPECT_THAT(class_words("name:a,b", fish), ElementsAre("name:a,b"));
  EXPECT_THAT(class_words("a,goldfish", fish), ElementsAre("a", "goldfish"));
  EXPECT_THAT(class_words("1,,0", fish), ElementsAre("1", "", "0"));
  EXPECT_THAT(user_error([&] { class_words("a,b", fish); }), mentions("--class a,b", "name:a,b"));
}

TEST(Classes, AreListedUpToTen) {
  EXPECT_EQ(list_classes({"cat", "dog"}), "0 cat, 1 dog");
  EXPECT_THAT(list_classes(Names(12, "x")), mentions("9 x, and 2 more"));
}

}  // namespace
}  // namespace cdm
