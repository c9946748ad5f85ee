// SPDX-License-Identifier: MIT
// The test split of a folder that has none: a tenth of its pictures, chosen by a hash of their
// names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "data/hold_out.h"
#include "files.h"
#include "image_folder_test.h"

namespace cdm {
namespace {

using test::error_in;
using test::mentions;
using testing::ElementsAre;

std::vector<std::string> chosen(const std::vector<std::string>& names,
                                std::vector<std::int64_t> labels = {}) {
  labels.resize(names.size());
  const std::vector<bool> held = held_out(names, labels);
  std::vector<std::string> found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (held[i]) found.push_back(names[i]);
  }
  return found;
}

std::vector<std::string> numbered(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(concat(i, ".png"));
  return names;
}

// python3 -c "import hashlib; print([i for i in range(100) if int.from_bytes(hashlib.sha256(
//   f'{i}.png'.encode()).digest()[:8], 'big') < 2**64 / 10])"
TEST(HoldOut, IsByTheDocumentedHash) {
  EXPECT_THAT(chosen(numbered(100)), ElementsAre("0.png", "6.png", "8.png", "33.png", "40.png",
                                                 "42.png", "61.png", "65.png", "68.png", "69.png"));
}

TEST(HoldOut, IsATenth) {
  EXPECT_NEAR(static_cast<double>(chosen(numbered(20000)).size()), 2000, 130);  // 3 deviations
}

TEST(HoldOut, StaysWhenPicturesAreAddedOrReordered) {
  const std::vector<std::string> few = chosen(numbered(100));
  std::vector<std::string> names = numbered(200);
  std::reverse(names.begin(), names.end());
  const std::vector<std::string> many = chosen(names);
  const std::set<std::string> set(many.begin(), many.end());
  for (const std::string& name : few) EXPECT_TRUE(set.contains(name)) << name;
  EXPECT_GT(many.size(), few.size());
}

TEST(HoldOut, LeavesSomethingOnBothSides) {
  // The numbers of the names, by the same hash: 6.png 0.03, 0.png 0.06, 8.png 0.09, which are below
  // a tenth, and 2.png 0.20, 1.png 0.58.
  EXPECT_THAT(chosen({"8.png", "6.png", "0.png"}), ElementsAre("6.png", "0.png")) << "all but 0.09";
  EXPECT_THAT(chosen({"1.png", "2.png"}), ElementsAre("2.png")) << "the smallest";
  EXPECT_THAT(chosen({"6.png"}), ElementsAre());
  EXPECT_THAT(chosen({}), ElementsAre());
  // A class is never held out as a whole.
  EXPECT_THAT(chosen({"0.png", "6.png", "1.png", "2.png"}, {0, 0, 1, 1}), ElementsAre("6.png"));
  // The class of 6.png has no other picture; that of 2.png has one.
  EXPECT_THAT(chosen({"6.png", "1.png", "2.png"}, {0, 1, 1}), ElementsAre("2.png"));
  EXPECT_THAT(chosen({"6.png", "1.png"}, {0, 1}), ElementsAre("6.png")) << "all classes have one";
}

class HoldOutFolder : public test::ImageFolderTest {};

TEST_F(HoldOutFolder, ThePlainFolderHasBothSplits) {
  for (int i = 0; i < 40; ++i) paint(concat(i, ".png"), i, 0, 0);
  const std::string log = log_of();
  const std::vector<int> train = reds(), test = reds(Split::test);
  EXPECT_THAT(log, mentions(folder_.string(), concat(test.size(), " of 40 pictures"), "held out"));
  EXPECT_EQ(log_of(Split::test), "");  // it has been said
  EXPECT_GE(test.size(), 1);
  EXPECT_EQ(train.size() + test.size(), 40);
  std::set<int> all(train.begin(), train.end());
  all.insert(test.begin(), test.end());
  EXPECT_EQ(all.size(), 40);
  // Given to be scored, the folder is whole.
  config_ = detect_dataset(folder_);
  EXPECT_EQ(load(Split::test).size(), 40);
  EXPECT_EQ(load().size(), 40);
}

TEST_F(HoldOutFolder, ClassFoldersAreDividedToo) {
  for (int i = 0; i < 20; ++i) {
    paint(concat("cat/", i, ".png"), i, 0, 0);
    paint(concat("dog/", i, ".png"), i, 0, 0);
  }
  const Dataset train = load(), test = load(Split::test);
  EXPECT_EQ(train.size() + test.size(), 40);
  EXPECT_THAT(test.class_names, ElementsAre("cat", "dog"));
  for (const Dataset* const split : {&train, &test}) {
    for (std::int64_t i = 0; i < split->size(); ++i) {
      EXPECT_EQ(split->labels[i].item<int>() == 0,
                split->file_names[static_cast<std::size_t>(i)].starts_with("cat/"));
    }
  }
}

TEST_F(HoldOutFolder, OnePictureIsForTraining) {
  paint("a.png", 1, 1, 1);
  EXPECT_EQ(load().size(), 1);
  EXPECT_THAT(refusal(Split::test), error_in(folder_, "one picture", "data.test_path"));
}

}  // namespace
}  // namespace cdm
