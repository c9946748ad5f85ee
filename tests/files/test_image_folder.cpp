// SPDX-License-Identifier: MIT
// Folders of pictures: order, classes, splits, sizes, colours, and what is wrong with them.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "cdm/data/subset.h"
#include "cdm/io/image.h"
#include "files.h"
#include "image_folder_test.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::error_in;
using test::mentions;
using test::overwrite;
using testing::ElementsAre;

class ImageFolder : public test::WholeFolderTest {};

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
  EXPECT_THAT(refusal(Split::test), error_in(folder_ / "test/cow", "class"));
}

TEST_F(ImageFolder, TheTestSplitMayLieElsewhere) {
  paint("here/cat/1.png", 1, 0, 0);
  paint("here/dog/1.png", 2, 0, 0);
  paint("there/dog/1.png", 3, 0, 0);
  use(DataKind::image_folder, folder_ / "here");
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
  EXPECT_THAT(refusal(), error_in(folder_ / "a.png", "12 x 52", "square", "data.image_size"));
}

TEST_F(ImageFolder, AllPicturesHaveTheSizeOfTheFirst) {
  paint("a.png", 1, 1, 1, 4, 4);
  paint("b.png", 2, 2, 2, 5, 5);
  EXPECT_THAT(refusal(), error_in(folder_ / "b.png", "5 x 5", "4 x 4", "data.image_size"));
  paint("d.png", 2, 2, 2, 4, 5);
  EXPECT_THAT(refusal(), error_in(folder_, "2 of 3 ", "b.png", "d.png", "4 x 5"));
  fs::remove(folder_ / "d.png");
  config_.image_size = 4;
  EXPECT_THAT(reds(), ElementsAre(1, 2));
  paint("c.png", 3, 3, 3, 1, 65);
  EXPECT_THAT(refusal(), error_in(folder_ / "c.png", "1 x 65", "square"));
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
  EXPECT_THAT(refusal(), error_in(folder_, "no pictures"));
  paint("cat/1.png", 1, 1, 1);
  fs::create_directories(folder_ / "dog");
  EXPECT_THAT(refusal(), error_in(folder_ / "dog", "no pictures"));
  overwrite(folder_ / "dog" / "readme.txt", "woof");
  EXPECT_THAT(refusal(), error_in(folder_ / "dog", "no pictures", "readme.txt"));
  fs::remove(folder_ / "dog" / "readme.txt");
  const std::string whole = read_file(folder_ / "cat" / "1.png");
  overwrite(folder_ / "dog" / "1.png", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refusal(), error_in(folder_ / "dog/1.png", "PNG"));
  paint("dog/1.png", 2, 2, 2);
  EXPECT_EQ(refusal(), "no UserError");
  overwrite(folder_ / "LICENSE", "text beside the class folders is no picture");
  EXPECT_EQ(refusal(), "no UserError");
  paint("loose.png", 1, 1, 1);
  EXPECT_THAT(refusal(), error_in(folder_ / "loose.png", "class folders"));
  fs::remove(folder_ / "loose.png");
  paint("dog/puppy/1.png", 1, 1, 1);
  EXPECT_THAT(refusal(), error_in(folder_ / "dog/puppy", "class folder"));
}

TEST_F(ImageFolder, AFolderAroundTheDataIsToldFromAClass) {
  paint("pets/train/cat/1.png", 1, 1, 1);
  paint("pets/test/cat/1.png", 1, 1, 1);
  EXPECT_THAT(refusal(), error_in(folder_ / "pets/test", "class folder",
                                  "data.path = " + (folder_ / "pets").string()));
}

TEST_F(ImageFolder, AValidationSplitServesAsTheTestSplit) {
  paint("train/1.png", 1, 1, 1);
  for (const char* const name : {"validation", "valid", "val"}) {
    paint(fs::path(name) / "1.png", 2, 2, 2);
    EXPECT_THAT(log_of(Split::test), mentions((folder_ / name).string(), "test split"));
    EXPECT_THAT(reds(Split::test), ElementsAre(2));
    fs::remove_all(folder_ / name);
  }
  paint("val/1.png", 2, 2, 2);
  paint("test/1.png", 3, 3, 3);
  EXPECT_THAT(reds(Split::test), ElementsAre(3));
  EXPECT_THAT(reds(), ElementsAre(1));
  // A link of that name that leads nowhere is not passed over for another folder.
  fs::remove_all(folder_ / "test");
  fs::create_directory_symlink(folder_ / "gone", folder_ / "test");
  EXPECT_THAT(refusal(Split::test), error_in(folder_ / "test", "link to", "gone"));
}

TEST_F(ImageFolder, ImagesKeepTheNamesOfTheirFiles) {
  paint("train/dog/2.png", 1, 1, 1);
  paint("train/dog/10.png", 2, 2, 2);
  paint("train/cat/a, b.png", 3, 3, 3);
  const Dataset dataset = load();
  EXPECT_THAT(dataset.file_names, ElementsAre("cat/a, b.png", "dog/2.png", "dog/10.png"));
  const Dataset some = subset(dataset, at::tensor({2, 0}, at::kLong));
  EXPECT_THAT(some.file_names, ElementsAre("dog/10.png", "cat/a, b.png"));
  EXPECT_THAT(spread_subset(dataset, 2).file_names, ElementsAre("cat/a, b.png", "dog/2.png"));
  DataConfig toy;
  toy.kind = DataKind::toy;
  toy.image_size = 4;
  toy.channels = 1;
  toy.toy_width = 1;
  toy.toy_images = 10;
  EXPECT_TRUE(load_dataset(toy, Split::train).file_names.empty());
}

TEST_F(ImageFolder, SaysHowPicturesWereConverted) {
  paint("a.png", 5, 5, 5, 16, 16);
  paint("b.png", 7, 8, 9, 4, 4);
  paint("c.png", 7, 8, 9, 4, 6);
  EXPECT_THAT(refusal(), mentions("do not fit"));
  config_.image_size = 4;
  EXPECT_EQ(load().conversion, "resized 2 of 3 pictures, the first from 16 x 16");
  config_.channels = 1;
  EXPECT_EQ(load().conversion,
            "resized 2 of 3 pictures, the first from 16 x 16; converted 2 colour pictures to grey");
  fs::remove(folder_ / "a.png");
  fs::remove(folder_ / "c.png");
  EXPECT_EQ(load().conversion, "converted 1 colour pictures to grey");
  config_.channels = 3;
  EXPECT_EQ(load().conversion, "");
  paint("b.png", 7, 7, 7, 4, 4);
  EXPECT_THAT(load().conversion, mentions("grey", "as colour"));
  config_.channels = 0;
  EXPECT_EQ(load().conversion, "");
}

TEST_F(ImageFolder, IsTheSameWhateverTheNumberOfThreads) {
  for (int i = 0; i < 300; ++i) {
    paint(concat(i, ".png"), i % 256, i / 2, 0, 5 + i % 3, 6);
    if (i % 7 == 0) overwrite(folder_ / concat(i, "x.png"), "no picture");
  }
  config_.image_size = 4;
  config_.skip_unreadable = 43;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Dataset one = load();
  const std::string warning = log_of();
  at::set_num_threads(5);
  const Dataset five = load();
  EXPECT_EQ(log_of(), warning);
  at::set_num_threads(threads);
  EXPECT_EQ(one.size(), 300);
  EXPECT_TRUE(at::equal(one.images, five.images));
  EXPECT_EQ(one.file_names, five.file_names);
}

TEST_F(ImageFolder, TheOtherSplitAloneIsNotEnough) {
  paint("test/1.png", 1, 1, 1);
  EXPECT_EQ(load(Split::test).size(), 1);
  EXPECT_THAT(refusal(), error_in(folder_ / "train", "not found"));
  fs::rename(folder_ / "test", folder_ / "train");
  EXPECT_EQ(load().size(), 1);
  EXPECT_THAT(refusal(Split::test), error_in(folder_ / "test", "not found", "data.test_path"));
}

}  // namespace
}  // namespace cdm
