// SPDX-License-Identifier: MIT
// Data sets: .npz files, what every kind shares, and how a kind is recognised.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <utility>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "cdm/data/subset.h"
#include "cdm/io/npz.h"
#include "dataset_test.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::DatasetTest;
using test::error_in;
using test::mentions;
using test::overwrite;
using test::pixels;
using test::user_error;

// ---- .npz ----

class NpzImages : public DatasetTest {
 protected:
  NpzImages() { use(DataKind::npz, file_); }
  void write(const at::Tensor& images, const at::Tensor& labels = {}) const {
    NpzWriter writer(file_);
    writer.write("arr_0", images);
    if (labels.defined()) writer.write("arr_1", labels);
    writer.close();
  }

  fs::path file_ = folder_ / "images.npz";
  at::Tensor nhwc_ = pixels(4, 3, 6).permute({0, 2, 3, 1});
};

TEST_F(NpzImages, ReadsImagesWithAndWithoutLabels) {
  write(nhwc_);
  EXPECT_TRUE(at::equal(load().images, pixels(4, 3, 6)));
  EXPECT_TRUE(load().images.is_contiguous());
  EXPECT_FALSE(load().labels.defined());
  for (const at::ScalarType type : {at::kByte, at::kChar, at::kShort, at::kInt, at::kLong}) {
    write(nhwc_, at::tensor({0, 3, 1, 100}, type));
    EXPECT_TRUE(at::equal(load().labels, at::tensor({0, 3, 1, 100}, at::kLong)));
  }
  write(pixels(4, 1, 6).permute({0, 2, 3, 1}));
  EXPECT_TRUE(at::equal(load().images, pixels(4, 1, 6)));
}

TEST_F(NpzImages, TheTestSplitHasAFileOfItsOwn) {
  write(nhwc_);
  EXPECT_THAT(refusal(Split::test), mentions("data.test_path", "empty"));
  config_.test_path = file_.string();
  config_.path = "";
  EXPECT_EQ(load(Split::test).size(), 4);
  EXPECT_THAT(refusal(), mentions("data.path", "empty", "data.kind = npz"));
}

TEST_F(NpzImages, RefusesOtherArrays) {
  write(nhwc_.to(at::kFloat));
  EXPECT_THAT(refusal(), error_in(file_, "arr_0", "Float [4, 6, 6, 3]", "uint8"));
  write(nhwc_[0]);
  EXPECT_THAT(refusal(), error_in(file_, "arr_0", "Byte [6, 6, 3]"));
  write(nhwc_.narrow(1, 0, 5));
  EXPECT_THAT(refusal(), error_in(file_, "5 x 6", "square"));
  write(nhwc_.narrow(0, 0, 0));
  EXPECT_THAT(refusal(), error_in(file_, "no images"));
  for (const std::int64_t channels : {0, 2}) {
    write(nhwc_.narrow(3, 0, channels));
    EXPECT_THAT(refusal(), error_in(file_, concat(channels, " channels"), "1 ", "3 "));
  }
  write(nhwc_.narrow(1, 0, 0).narrow(2, 0, 0));
  EXPECT_THAT(refusal(), error_in(file_, "0 x 0"));

  write(nhwc_, at::tensor({0, 1, 2}, at::kLong));
  EXPECT_THAT(refusal(), error_in(file_, "3 labels", "4 images"));
  write(nhwc_, at::tensor({0, -1, 2, 3}, at::kLong));
  EXPECT_THAT(refusal(), error_in(file_, "label 1", "-1", "0.."));
  write(nhwc_, at::zeros({4}));
  EXPECT_THAT(refusal(), error_in(file_, "arr_1", "Float [4]", "integer"));
  write(nhwc_, at::zeros({4, 1}, at::kLong));
  EXPECT_THAT(refusal(), error_in(file_, "arr_1", "Long [4, 1]"));

  write(nhwc_, at::full({4}, true, at::kBool));
  EXPECT_THAT(refusal(), error_in(file_, "arr_1", "Bool [4]", "integer"));

  NpzWriter writer(file_);
  writer.write("images", nhwc_);
  writer.close();
  EXPECT_THAT(refusal(), error_in(file_, "'arr_0'", "it has 'images'"));
  overwrite(file_, "PK");
  EXPECT_THAT(refusal(), error_in(file_, "zip"));
}

TEST_F(NpzImages, SaysHowToMoveTheChannels) {
  write(pixels(4, 3, 6));
  EXPECT_THAT(refusal(), error_in(file_, "[4, 3, 6, 6]", "transpose(0, 2, 3, 1)"));
  write(pixels(4, 1, 6));
  EXPECT_THAT(refusal(), error_in(file_, "[4, 1, 6, 6]", "transpose(0, 2, 3, 1)"));
  write(pixels(4, 3, 3));  // may be either
  EXPECT_EQ(refusal(), "no UserError");
}

// ---- what every kind shares ----

TEST_F(DatasetTest, AFifoOrDeviceIsNotWaitedFor) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const auto& [path, what] :
       {std::pair(fifo, "FIFO"), std::pair(fs::path("/dev/zero"), "device"),
        std::pair(folder_ / "none", "not found")}) {
    for (const DataKind kind : {DataKind::npz, DataKind::image_archive}) {
      use(kind, path);
      EXPECT_THAT(refusal(), mentions(path.string() + ": ", what)) << name_of(kind);
    }
    for (const DataKind kind : {DataKind::mnist, DataKind::emnist, DataKind::cifar10,
                                DataKind::cifar100, DataKind::celeba, DataKind::image_folder}) {
      use(kind, path);
      EXPECT_NE(refusal(), "no UserError") << name_of(kind);
    }
    EXPECT_THAT(user_error([&] { detect_dataset(path); }), error_in(path, what));
  }
  use(DataKind::npz, folder_);
  EXPECT_THAT(refusal(), error_in(folder_, "is a folder"));
  // In place of one of the files of a folder.
  overwrite(folder_ / "cifar" / "data_batch_1.bin", "");
  fs::rename(fifo, folder_ / "cifar" / "data_batch_2.bin");
  fs::rename(folder_ / "cifar" / "data_batch_1.bin", folder_ / "cifar" / "test_batch.bin");
  use(DataKind::cifar10, folder_ / "cifar");
  EXPECT_NE(refusal(), "no UserError");
  fs::rename(folder_ / "cifar" / "data_batch_2.bin", folder_ / "cifar" / "data_batch_1.bin");
  EXPECT_THAT(refusal(), error_in(folder_ / "cifar" / "data_batch_1.bin", "FIFO"));
}

TEST_F(DatasetTest, WhatCannotBeLookedAtIsNamed) {
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_THAT(user_error([&] { detect_dataset(folder_ / "loop"); }),
              mentions((folder_ / "loop").string(), "symbolic links"));
}

TEST_F(DatasetTest, NamesAPathThatIsNotThere) {
  for (const DataKind kind : {DataKind::fashion_mnist, DataKind::mnist, DataKind::cifar10,
                              DataKind::image_folder, DataKind::npz}) {
    use(kind, folder_ / "none");
    const std::string missing = concat("data.path = ", (folder_ / "none").string(), ": not found");
    EXPECT_EQ(refusal(), missing) << name_of(kind);
    config_.places["data.path"] = "a.yaml:3";
    EXPECT_EQ(refusal(), "a.yaml:3: " + missing);
    config_.test_path = (folder_ / "no test").string();
    EXPECT_THAT(refusal(Split::test), mentions("data.test_path = ", "no test: not found"));
    config_.path = "";
    if (kind == DataKind::fashion_mnist) continue;  // has a usual place
    EXPECT_THAT(refusal(), mentions("data.path", "empty", concat("data.kind = ", name_of(kind))));
  }
}

TEST_F(DatasetTest, TellsTheKindByWhatIsThere) {
  const auto kind = [](const fs::path& path) { return detect_dataset(path).kind; };
  overwrite(folder_ / "digits" / "t10k-images-idx3-ubyte.gz", "");
  overwrite(folder_ / "fashion" / "train-images-idx3-ubyte", "");
  overwrite(folder_ / "cifar" / "test_batch.bin", "");
  overwrite(folder_ / "around" / "cifar-10-batches-bin" / "data_batch_1.bin", "");
  overwrite(folder_ / "pictures" / "a.png", "");
  overwrite(folder_ / "a.npz", "");
  EXPECT_EQ(kind(folder_ / "digits"), DataKind::mnist);
  EXPECT_EQ(kind(folder_ / "fashion"), DataKind::fashion_mnist);
  EXPECT_EQ(kind(folder_ / "cifar"), DataKind::cifar10);
  EXPECT_EQ(kind(folder_ / "around"), DataKind::cifar10);
  EXPECT_EQ(kind(folder_ / "pictures"), DataKind::image_folder);
  EXPECT_EQ(kind(folder_ / "a.npz"), DataKind::npz);
  for (const char* name : {"a.zip", "a.TAR", "a.tar.gz", "a.tgz"}) {
    overwrite(folder_ / name, "");
    EXPECT_EQ(kind(folder_ / name), DataKind::image_archive) << name;
  }
  EXPECT_EQ(kind(folder_ / "shard-{00..12}.tar"), DataKind::image_archive);
  overwrite(folder_ / "shards" / "0.tar", "");
  overwrite(folder_ / "shards" / "README.md", "");
  EXPECT_EQ(kind(folder_ / "shards"), DataKind::image_archive);
  overwrite(folder_ / "pictures" / "all.zip", "");  // beside the pictures that it was made of
  EXPECT_EQ(kind(folder_ / "pictures"), DataKind::image_folder);
  const fs::path roundabout = folder_ / "cifar" / ".." / "a.npz";
  EXPECT_EQ(detect_dataset(roundabout).path, (folder_ / "a.npz").string());
  EXPECT_EQ(detect_dataset(roundabout).test_path, (folder_ / "a.npz").string());
  EXPECT_THAT(user_error([&] { kind(folder_ / "none"); }), error_in(folder_ / "none", "not found"));
  overwrite(folder_ / "a.7z", "");
  EXPECT_THAT(user_error([&] { kind(folder_ / "a.7z"); }),
              error_in(folder_ / "a.7z", ".npz", ".zip", "folder"));
}

TEST(Subset, IsSpreadOverDataSortedByClass) {
  Dataset sorted;
  sorted.images = pixels(9, 1, 2);
  sorted.labels = at::arange(9, at::kLong).div(3, "floor");
  const Dataset three = spread_subset(sorted, 3);
  EXPECT_TRUE(at::equal(three.labels, at::tensor(at::ArrayRef<std::int64_t>({0, 1, 2}))));
  EXPECT_TRUE(at::equal(three.images[1], sorted.images[3]));
  EXPECT_TRUE(
      at::equal(spread_indices(9, 4), at::tensor(at::ArrayRef<std::int64_t>({0, 2, 4, 6}))));
  EXPECT_EQ(spread_subset(sorted, 0).size(), 9);
  EXPECT_EQ(spread_subset(sorted, 10).size(), 9);
  EXPECT_EQ(spread_indices(9, 10).size(0), 9);
  sorted.labels = at::Tensor();
  EXPECT_FALSE(spread_subset(sorted, 3).labels.defined());
}

TEST(Splits, AreTrainAndTest) {
  EXPECT_EQ(parse_split("train"), Split::train);
  EXPECT_EQ(parse_split("test"), Split::test);
  EXPECT_THAT(user_error([] { parse_split("valid"); }),
              mentions("split", "valid", "train", "test"));
}

TEST(Dataset, FashionMnistWhereThePackagePutsIt) {
  if (!fs::is_directory("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  DataConfig config;
  config.kind = DataKind::fashion_mnist;
  const Dataset train = load_dataset(config, Split::train);
  EXPECT_EQ(train.images.sizes(), at::IntArrayRef({60000, 1, 28, 28}));
  EXPECT_NEAR(train.images.to(at::kFloat).mean().item<double>() / 255.0, 0.2860, 1e-4);
  EXPECT_EQ(train.labels.eq(3).sum().item<int>(), 6000);
  const Dataset test = load_dataset(config, Split::test);
  EXPECT_EQ(test.images.sizes(), at::IntArrayRef({10000, 1, 28, 28}));
  EXPECT_EQ(test.labels.eq(9).sum().item<int>(), 1000);
  EXPECT_EQ(test.class_names.at(9), "Ankle boot");
}

}  // namespace
}  // namespace cdm
