// SPDX-License-Identifier: MIT
// CelebA's layout: partition, crop and errors, on made pictures whose pixels tell their place.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>

#include "cdm/data/dataset.h"
#include "cdm/io/image.h"
#include "files.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Celeba : public test::FilesTest {
 protected:
  Celeba() {
    config_ = RunConfig().data;
    config_.kind = DataKind::celeba;
    config_.path = folder_.string();
    std::filesystem::create_directories(folder_ / "img_align_celeba");
    list("000001.png 0\n000002.png 1\n000003.png 2\n000004.png 0\n");
    for (int i = 1; i <= 4; ++i) picture(concat("00000", i, ".png"), i);
  }

  void list(const std::string& text, const std::string& name = "list_eval_partition.txt") {
    test::overwrite(folder_ / name, text);
  }
  /// Red is the row, green the column, blue the number.
  void picture(const std::string& name, int number, std::int64_t height = 218,
               std::int64_t width = 178) {
    const at::Tensor row = at::arange(height, at::kByte).unsqueeze(1).expand({height, width});
    const at::Tensor column = at::arange(width, at::kByte).unsqueeze(0).expand({height, width});
    write_png(folder_ / "img_align_celeba" / name,
              at::stack({row, column, at::full({height, width}, number, at::kByte)}));
  }
  std::string refusal(Split split = Split::train) const {
    return test::user_error([&] { load_dataset(config_, split); });
  }

  DataConfig config_;
};

TEST_F(Celeba, CutsTheSquareAroundTheFace) {
  config_.image_size = 128;
  const Dataset train = load_dataset(config_, Split::train);
  ASSERT_EQ(train.images.sizes(), at::IntArrayRef({2, 3, 128, 128}));
  EXPECT_FALSE(train.labels.defined());
  EXPECT_EQ(train.images[0][0][0][0].item<int>(), 57);  // centred on row 121
  EXPECT_EQ(train.images[0][0][127][0].item<int>(), 184);
  EXPECT_EQ(train.images[0][1][0][0].item<int>(), 25);  // and column 89
  EXPECT_EQ(train.images[0][1][0][127].item<int>(), 152);
  EXPECT_EQ(train.images[0][2][5][5].item<int>(), 1);
  EXPECT_EQ(train.images[1][2][5][5].item<int>(), 4);
}

TEST_F(Celeba, FollowsTheOfficialPartitionAndResizes) {
  const Dataset test = load_dataset(config_, Split::test);
  ASSERT_EQ(test.images.sizes(), at::IntArrayRef({1, 3, 64, 64}));
  EXPECT_EQ(test.images[0][2][0][0].item<int>(), 3);
  // Two rows become one: their mean, but at the border.
  EXPECT_NEAR(test.images[0][0][31][0].item<int>(), 57 + 62.5, 1.0);
}

TEST_F(Celeba, ReadsTheListAsCsvAndWithCarriageReturns) {
  const Dataset before = load_dataset(config_, Split::train);
  list("000001.png 0\r\n000002.png 1\r\n000003.png 2\r\n000004.png 0\r\n\r\n");
  EXPECT_TRUE(at::equal(load_dataset(config_, Split::train).images, before.images));
  std::filesystem::remove(folder_ / "list_eval_partition.txt");
  list("image_id,partition\n000001.png,0\n000002.png,1\n000004.png,0\n", "list_eval_partition.csv");
  EXPECT_TRUE(at::equal(load_dataset(config_, Split::train).images, before.images));
}

TEST_F(Celeba, IsToldByItsFiles) {
  EXPECT_EQ(detect_dataset(folder_).kind, DataKind::celeba);
  std::filesystem::remove(folder_ / "list_eval_partition.txt");
  EXPECT_EQ(detect_dataset(folder_).kind, DataKind::image_folder);
}

TEST_F(Celeba, ImagesKeepTheNamesOfTheirFilesAndSomeMayBeLeftOut) {
  EXPECT_THAT(load_dataset(config_, Split::train).file_names,
              testing::ElementsAre("000001.png", "000004.png"));
  test::overwrite(folder_ / "img_align_celeba" / "000001.png", "no picture");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("000001.png: neither"), HasSubstr("skip_unreadable = 1")));
  config_.skip_unreadable = 1;
  EXPECT_THAT(load_dataset(config_, Split::train).file_names, testing::ElementsAre("000004.png"));
}

TEST_F(Celeba, IsReadInEveryLayoutThatIsPassedAround) {
  const at::Tensor expected = load_dataset(config_, Split::train).images;
  const std::filesystem::path made = folder_, list = "list_eval_partition.txt";
  struct Layout {
    const char* name;
    std::filesystem::path pictures, list;  // the folders that hold img_align_celeba and the list
  };
  for (const Layout& layout :
       {Layout{"nested", "img_align_celeba", ""}, Layout{"official", "Img", "Eval"},
        Layout{"attributes", "Img", "Anno"}, Layout{"torchvision", "celeba", "celeba"},
        Layout{"whole", "CelebA/Img", "CelebA/Eval"}}) {
    SCOPED_TRACE(layout.name);
    const std::filesystem::path root = folder_ / layout.name;
    std::filesystem::create_directories(root / layout.pictures);
    std::filesystem::create_directories(root / layout.list);
    std::filesystem::copy(made / "img_align_celeba", root / layout.pictures / "img_align_celeba");
    std::filesystem::copy(made / list, root / layout.list / list);
    config_.path = root.string();
    EXPECT_TRUE(at::equal(load_dataset(config_, Split::train).images, expected));
    EXPECT_EQ(detect_dataset(root).kind, DataKind::celeba);
  }
}

TEST_F(Celeba, ListsMissingPicturesBeforeAnyIsRead) {
  std::string lines = "000001.png 0\n";
  for (int i = 10; i < 25; ++i) lines += concat("0000", i, ".png 0\n");
  list(lines);
  test::overwrite(folder_ / "img_align_celeba" / "000001.png", "damaged");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("lacks 15 of 16"), HasSubstr("000010.png, 000011.png"),
                               HasSubstr("000019.png, and "), Not(HasSubstr("000020.png"))));
}

TEST_F(Celeba, RefusesALineThatIsRepeated) {
  list("000001.png 0\n000004.png 0\n000001.png 0\n");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("list_eval_partition.txt:3"), HasSubstr("000001.png"),
                               HasSubstr("line 1")));
  list("000001.png 0\n000004.png 0\n000001.png 2\n");  // in another partition, too
  EXPECT_THAT(refusal(), HasSubstr("list_eval_partition.txt:3"));
}

TEST_F(Celeba, NamesWhatIsWrong) {
  list("000001.png 0\n000009.png 0\n");
  EXPECT_THAT(refusal(), HasSubstr("000009.png"));
  for (const char* line : {"000001.png", "000001.png 3", "../000001.png 0", "000001.png  0", " 0",
                           "image_id,partition"}) {
    list(concat("000001.png 0\n", line, "\n"));
    EXPECT_THAT(refusal(), AllOf(HasSubstr("list_eval_partition.txt:2"), HasSubstr(line)));
  }
  list("000001.png 0\n");
  EXPECT_THAT(refusal(Split::test),
              AllOf(HasSubstr("list_eval_partition.txt"), HasSubstr("partition 2")));
  picture("000001.png", 1, 64, 64);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("000001.png"), HasSubstr("64 x 64"), HasSubstr("218 x 178")));
  config_.channels = 1;
  EXPECT_THAT(refusal(), HasSubstr("data.channels = 1"));
  std::filesystem::remove(folder_ / "list_eval_partition.txt");
  config_.channels = 0;
  EXPECT_THAT(refusal(), HasSubstr("list_eval_partition.txt"));
}

}  // namespace
}  // namespace cdm
