// SPDX-License-Identifier: MIT
// Folders of pictures: order, classes, splits, sizes, colours, and what is wrong with them.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "cdm/io/image.h"
#include "dataset_test.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::DatasetTest;
using test::overwrite;
using testing::ElementsAre;
using testing::StartsWith;

class ImageFolder : public DatasetTest {
 protected:
  ImageFolder() { use(DataKind::image_folder, folder_); }
  /// A picture of one grey or colour.
  void paint(const char* file, int red, int green, int blue, std::int64_t height = 4,
             std::int64_t width = 4) const {
    const at::Tensor colour = at::tensor({red, green, blue}, at::kByte).view({3, 1, 1});
    fs::create_directories((folder_ / file).parent_path());
    write_png(folder_ / file, colour.expand({3, height, width}));
  }
  std::vector<int> reds(Split split = Split::train) const {
    std::vector<int> found;
    const Dataset dataset = load(split);
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      found.push_back(dataset.images[i][0][0][0].item<int>());
    }
    return found;
  }
  std::string named(const char* file, const std::string& message) const {
    return (folder_ / file).string() + ": " + message;
  }
};

TEST_F(ImageFolder, ReadsAFlatFolderInTheOrderOfNames) {
  paint("b.png", 2, 3, 4);
  paint("a.PNG", 1, 1, 1);
  paint("c.jpeg", 3, 3, 3);  // told by its bytes
  paint(".hidden.png", 9, 9, 9);
  EXPECT_THAT(reds(), ElementsAre(1, 2, 3));
  const Dataset dataset = load();
  EXPECT_EQ(dataset.images.sizes(), at::IntArrayRef({3, 3, 4, 4}));
  EXPECT_EQ(dataset.images[1][2][3][3].item<int>(), 4);
  EXPECT_FALSE(dataset.labels.defined());
  EXPECT_TRUE(dataset.class_names.empty());
}

TEST_F(ImageFolder, ReadsJpegs) {
  const fs::path pictures = fs::path(CDM_TEST_DATA) / "data" / "pictures";
  for (const char* file : {"rgb.jpg", "progressive.jpg"}) {
    fs::copy_file(pictures / file, folder_ / file);
  }
  config_.image_size = 11;  // as high as they are; 14 wide
  const Dataset dataset = load();
  EXPECT_EQ(dataset.images.sizes(), at::IntArrayRef({2, 3, 11, 11}));
  EXPECT_TRUE(at::equal(dataset.images[1], read_image(pictures / "rgb.jpg", 3).slice(2, 1, 12)));
}

TEST_F(ImageFolder, ClassesAreSubFoldersInTheOrderOfNames) {
  paint("train/dog/1.png", 3, 0, 0);
  paint("train/cat/2.png", 2, 0, 0);
  paint("train/cat/1.png", 1, 0, 0);
  paint("train/.cache/1.png", 9, 0, 0);
  paint("test/dog/1.png", 4, 0, 0);
  EXPECT_THAT(reds(), ElementsAre(1, 2, 3));
  EXPECT_TRUE(at::equal(load().labels, at::tensor({0, 0, 1}, at::kLong)));
  EXPECT_THAT(load().class_names, ElementsAre("cat", "dog"));
  // The test split lacks a class, and numbers the others all the same.
  EXPECT_THAT(reds(Split::test), ElementsAre(4));
  EXPECT_TRUE(at::equal(load(Split::test).labels, at::tensor({1}, at::kLong)));
  EXPECT_THAT(load(Split::test).class_names, ElementsAre("cat", "dog"));

  paint("test/cow/1.png", 4, 0, 0);
  EXPECT_EQ(refusal(Split::test), named("test/cow", "the training split has no such class"));
}

TEST_F(ImageFolder, TheTestSplitMayLieElsewhere) {
  paint("here/cat/1.png", 1, 0, 0);
  paint("here/dog/1.png", 2, 0, 0);
  paint("there/dog/1.png", 3, 0, 0);
  use(DataKind::image_folder, folder_ / "here");
  EXPECT_EQ(refusal(Split::test), named("here", "has no sub-folder test; set data.test_path"));
  config_.test_path = (folder_ / "there").string();
  EXPECT_THAT(reds(Split::test), ElementsAre(3));
  EXPECT_TRUE(at::equal(load(Split::test).labels, at::tensor({1}, at::kLong)));
}

TEST_F(ImageFolder, ResizesTheShorterSideAndCutsTheMiddle) {
  // Left to right 20 columns black, 12 white, 20 black; 12 rows: the middle square is white.
  at::Tensor wide = at::zeros({3, 12, 52}, at::kByte);
  wide.narrow(2, 20, 12).fill_(255);
  write_png(folder_ / "a.png", wide);
  write_png(folder_ / "b.png", wide.transpose(1, 2));
  config_.image_size = 12;
  config_.channels = 3;
  EXPECT_TRUE(at::equal(load().images, at::full({2, 3, 12, 12}, 255, at::kByte)));
  // At half the size, the middle without its border is still pure.
  config_.image_size = 6;
  const at::Tensor half = load().images;
  EXPECT_EQ(half.sizes(), at::IntArrayRef({2, 3, 6, 6}));
  EXPECT_TRUE(
      at::equal(half.slice(2, 1, 5).slice(3, 1, 5), at::full({2, 3, 4, 4}, 255, at::kByte)));
  config_.image_size = 0;
  EXPECT_EQ(refusal(), named("a.png",
                             "is 12 x 52 (height x width), not 12 x 12 as the first "
                             "needs; set data.image_size to resize all"));
}

TEST_F(ImageFolder, AllPicturesHaveTheSizeOfTheFirst) {
  paint("a.png", 1, 1, 1, 4, 4);
  paint("b.png", 2, 2, 2, 5, 5);
  EXPECT_EQ(refusal(), named("b.png",
                             "is 5 x 5 (height x width), not 4 x 4 as the first needs; "
                             "set data.image_size to resize all"));
  config_.image_size = 4;
  EXPECT_THAT(reds(), ElementsAre(1, 2));
  paint("c.png", 3, 3, 3, 1, 65);
  EXPECT_EQ(refusal(), named("c.png",
                             "is 1 x 65 (height x width): too long and narrow to be cut "
                             "to a square"));
}

TEST_F(ImageFolder, IsGreyWhenNoPictureHasAColour) {
  paint("a.png", 5, 5, 5);
  paint("b.png", 7, 7, 7);
  EXPECT_EQ(load().channels(), 1);
  EXPECT_THAT(reds(), ElementsAre(5, 7));
  config_.channels = 3;
  EXPECT_EQ(load().channels(), 3);
  config_.channels = 0;
  paint("c.png", 0, 255, 0);
  EXPECT_EQ(load().channels(), 3);
  config_.channels = 1;
  EXPECT_THAT(reds(), ElementsAre(5, 7, 150));
}

TEST_F(ImageFolder, NamesWhatIsWrong) {
  EXPECT_EQ(refusal(), folder_.string() + ": holds no pictures");
  paint("cat/1.png", 1, 1, 1);
  fs::create_directories(folder_ / "dog");
  EXPECT_EQ(refusal(), named("dog", "holds no pictures"));
  overwrite(folder_ / "dog" / "readme.txt", "woof");
  EXPECT_EQ(refusal(), named("dog/readme.txt", "neither a PNG nor a JPEG picture"));
  fs::remove(folder_ / "dog" / "readme.txt");
  const std::string whole = read_file(folder_ / "cat" / "1.png");
  overwrite(folder_ / "dog" / "1.png", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refusal(), StartsWith(named("dog/1.png", "not a whole PNG")));
  paint("dog/1.png", 2, 2, 2);
  EXPECT_EQ(refusal(), "no UserError");
  overwrite(folder_ / "LICENSE", "text beside the class folders is no picture");
  EXPECT_EQ(refusal(), "no UserError");
  paint("loose.png", 1, 1, 1);
  EXPECT_EQ(refusal(), named("loose.png", "is a picture beside class folders; it needs one"));
  fs::remove(folder_ / "loose.png");
  paint("dog/puppy/1.png", 1, 1, 1);
  EXPECT_EQ(refusal(), named("dog/puppy", "a class folder holds pictures only"));
}

TEST_F(ImageFolder, TheOtherSplitAloneIsNotEnough) {
  paint("test/1.png", 1, 1, 1);
  EXPECT_EQ(load(Split::test).size(), 1);
  EXPECT_EQ(refusal(), named("train", "not found, though the other split has a folder"));
  fs::rename(folder_ / "test", folder_ / "train");
  EXPECT_EQ(load().size(), 1);
  EXPECT_EQ(refusal(Split::test), named("test",
                                        "not found, though the other split has a folder; "
                                        "or set data.test_path"));
}

}  // namespace
}  // namespace cdm
