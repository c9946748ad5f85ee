// SPDX-License-Identifier: MIT
// Pictures that cannot be read: all are named at once, and data.skip_unreadable leaves some out.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "files.h"
#include "image_folder_test.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::error_in;
using test::mentions;
using test::overwrite;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class UnreadablePictures : public test::WholeFolderTest {};

TEST_F(UnreadablePictures, AreAllNamedAtOnce) {
  paint("a.png", 1, 1, 1);
  const std::string whole = read_file(folder_ / "a.png");
  overwrite(folder_ / "b.png", whole.substr(0, whole.size() / 2));
  overwrite(folder_ / "c.jpg", "");
  EXPECT_THAT(refusal(),
              error_in(folder_, "2 of 3 pictures cannot be read", "b.png (not a whole PNG",
                       "c.jpg (neither", "empty", "data.skip_unreadable = 2"));
  fs::remove(folder_ / "b.png");
  EXPECT_THAT(refusal(), error_in(folder_ / "c.jpg", "empty", "data.skip_unreadable = 1"));
}

TEST_F(UnreadablePictures, TenAreNamedAndTheRestCounted) {
  paint("a.png", 1, 1, 1);
  for (int i = 1; i <= 13; ++i) overwrite(folder_ / concat("bad", i, ".png"), "no picture");
  EXPECT_THAT(refusal(),
              error_in(folder_, "13 of 14", "bad1.png", "bad2.png", "bad10.png (", "and 3 more"));
  EXPECT_THAT(refusal(), Not(HasSubstr("bad11.png")));
}

TEST_F(UnreadablePictures, AreLeftOutUpToANumber) {
  paint("cat/1.png", 1, 0, 0);
  paint("cat/3.png", 3, 0, 0);
  paint("dog/2.png", 5, 0, 0);
  overwrite(folder_ / "cat/2.png", "no picture");
  overwrite(folder_ / "dog/1.png", "no picture");
  for (const std::int64_t most : {0, 1}) {
    config_.skip_unreadable = most;
    EXPECT_THAT(refusal(), error_in(folder_, "2 of 5", "cat/2.png", "dog/1.png"));
  }
  for (const std::int64_t most : {2, 100}) {
    config_.skip_unreadable = most;
    EXPECT_THAT(log_of(), mentions("warning: ", "left out 2 of 5", "cat/2.png (", "dog/1.png ("));
    const Dataset dataset = load();
    EXPECT_THAT(reds_of(dataset), ElementsAre(1, 3, 5));
    EXPECT_TRUE(at::equal(dataset.labels, at::tensor({0, 0, 1}, at::kLong)));
    EXPECT_THAT(dataset.file_names, ElementsAre("cat/1.png", "cat/3.png", "dog/2.png"));
    EXPECT_TRUE(dataset.images.is_contiguous());
  }
}

TEST_F(UnreadablePictures, TheFirstThatCanBeReadSetsTheSize) {
  overwrite(folder_ / "a.png", "no picture");
  paint("b.png", 1, 1, 1, 5, 5);
  config_.skip_unreadable = 1;
  EXPECT_EQ(load().image_size(), 5);
}

TEST_F(UnreadablePictures, AllAreTooMany) {
  overwrite(folder_ / "a.png", "no picture");
  overwrite(folder_ / "b.png", "no picture");
  config_.skip_unreadable = 2;
  EXPECT_THAT(refusal(), error_in(folder_, "2 of 2"));
  fs::remove(folder_ / "b.png");
  EXPECT_THAT(refusal(), error_in(folder_ / "a.png"));
  config_.image_size = 4;
  EXPECT_THAT(refusal(), error_in(folder_ / "a.png"));
}

TEST_F(UnreadablePictures, AreTooManyIfTheyAreAWholeClass) {
  paint("cat/1.png", 1, 1, 1);
  overwrite(folder_ / "dog/1.png", "no picture");
  config_.skip_unreadable = 1;
  EXPECT_THAT(refusal(), error_in(folder_ / "dog", "none of its pictures"));
}

TEST_F(UnreadablePictures, AWrongSizeIsNotSkipped) {
  paint("a.png", 1, 1, 1, 4, 4);
  paint("b.png", 1, 1, 1, 5, 5);
  config_.skip_unreadable = 9;
  EXPECT_THAT(refusal(), error_in(folder_ / "b.png", "5 x 5"));
}

}  // namespace
}  // namespace cdm
