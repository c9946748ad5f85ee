// SPDX-License-Identifier: MIT
// Data sets: each kind read from small files made here, and what is wrong with them named.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <vector>

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
using test::user_error;

/// uint8 [count, channels, size, size] with different numbers everywhere.
at::Tensor pixels(std::int64_t count, std::int64_t channels, std::int64_t size) {
  return at::arange(count * channels * size * size, at::kLong)
      .mul(41)
      .remainder(251)
      .to(at::kByte)
      .view({count, channels, size, size});
}

std::string bytes_of(const at::Tensor& array) {
  const at::Tensor whole = array.to(at::kByte).contiguous();
  return {static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()};
}

// ---- IDX: MNIST and Fashion-MNIST ----

std::string big_endian(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
  return out;
}

/// An IDX file of bytes.
std::string idx(const std::vector<std::uint32_t>& shape, const std::string& data) {
  std::string out = big_endian(0x0800 + static_cast<std::uint32_t>(shape.size()));
  for (const std::uint32_t size : shape) out += big_endian(size);
  return out + data;
}

std::string gzipped(const std::string& bytes) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(bytes.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class Idx : public DatasetTest {
 protected:
  Idx() {
    use(DataKind::mnist, folder_);
    overwrite(images_, idx({3, 5, 5}, bytes_of(pixels(3, 1, 5))));
    overwrite(labels_, idx({3}, "\x07\x01\x09"));
  }

  fs::path images_ = folder_ / "train-images-idx3-ubyte";
  fs::path labels_ = folder_ / "train-labels-idx1-ubyte";
};

TEST_F(Idx, ReadsBothSplitsPlainAndGzipped) {
  overwrite(folder_ / "t10k-images-idx3-ubyte.gz", gzipped(idx({2, 5, 5}, std::string(50, '\x5'))));
  overwrite(folder_ / "t10k-labels-idx1-ubyte.gz", gzipped(idx({2}, std::string("\0\2", 2))));
  const Dataset train = load();
  EXPECT_TRUE(at::equal(train.images, pixels(3, 1, 5)));
  EXPECT_TRUE(train.images.is_contiguous());
  EXPECT_TRUE(at::equal(train.labels, at::tensor({7, 1, 9}, at::kLong)));
  EXPECT_EQ(train.class_names.at(9), "9");
  EXPECT_THAT(train.description, mentions("mnist", "train", folder_.string()));
  EXPECT_EQ(train.size(), 3);
  EXPECT_EQ(train.channels(), 1);
  EXPECT_EQ(train.image_size(), 5);
  const Dataset test = load(Split::test);
  EXPECT_TRUE(at::equal(test.images, at::full({2, 1, 5, 5}, 5, at::kByte)));
  EXPECT_TRUE(at::equal(test.labels, at::tensor({0, 2}, at::kLong)));
}

TEST_F(Idx, APlainFileComesBeforeAGzippedOne) {
  overwrite(images_.string() + ".gz", "not read");
  EXPECT_EQ(load().size(), 3);
}

TEST_F(Idx, NamesTheFileThatIsCutAnywhere) {
  for (const fs::path& file : {images_, labels_}) {
    const std::string whole = read_file(file);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      overwrite(file, whole.substr(0, size));
      ASSERT_THAT(refusal(), error_in(file)) << size;
    }
    overwrite(file, whole + "x");
    EXPECT_THAT(refusal(), error_in(file, "longer"));
    const fs::path packed = file.string() + ".gz";
    const std::string small = gzipped(whole);
    fs::remove(file);
    for (std::size_t size = 0; size < small.size(); ++size) {
      overwrite(packed, small.substr(0, size));
      ASSERT_THAT(refusal(), error_in(packed)) << size;
    }
    for (std::size_t i = 10; i < small.size(); ++i) {  // after gzip's header, of little meaning
      if (i == small.size() - 9) continue;             // ends with bits of no meaning
      std::string changed = small;
      changed[i] = static_cast<char>(changed[i] ^ 0x10);
      overwrite(packed, changed);
      ASSERT_THAT(refusal(), error_in(packed)) << i;
    }
    fs::remove(packed);
    overwrite(file, whole);
    EXPECT_EQ(refusal(), "no UserError");
  }
}

TEST_F(Idx, RefusesOtherHeaders) {
  const std::string data = bytes_of(pixels(3, 1, 5));
  std::string floats = idx({3, 5, 5}, data);
  floats[2] = 0x0d;
  for (const std::string& other : {floats, idx({3, 25}, data), idx({3, 5, 5, 1}, data), data}) {
    overwrite(images_, other);
    EXPECT_THAT(refusal(), error_in(images_, "IDX", "3 dimensions"));
  }
  overwrite(images_, idx({3, 0, 5}, ""));
  EXPECT_THAT(refusal(), error_in(images_, "nothing"));
  for (const auto& size : {0x7fffffffU, 0xffffffffU, 1000000U}) {
    overwrite(images_, idx({size, size, size}, data));
    EXPECT_THAT(refusal(), error_in(images_, "truncated"));
  }
  overwrite(images_, idx({3, 5, 4}, std::string(60, 'x')));
  EXPECT_THAT(refusal(), error_in(folder_, "5 x 4", "square"));
}

TEST_F(Idx, RefusesLabelsThatDoNotFit) {
  overwrite(labels_, idx({2}, "\x01\x01"));
  EXPECT_THAT(refusal(), error_in(labels_, "2 labels", "3 images"));
  overwrite(labels_, idx({3}, "\x01\x0a\x01"));
  EXPECT_THAT(refusal(), error_in(labels_, "label 1", "10", "0..9"));
  fs::remove(labels_);
  EXPECT_THAT(refusal(), error_in(labels_, "not found", ".gz"));
  EXPECT_THAT(refusal(Split::test),
              error_in(folder_ / "t10k-images-idx3-ubyte", "not found", ".gz"));
}

// ---- CIFAR-10 ----

std::string record(int label, const at::Tensor& image) {
  return static_cast<char>(label) + bytes_of(image);
}

class Cifar10 : public DatasetTest {
 protected:
  Cifar10() {
    use(DataKind::cifar10, folder_);
    for (int i = 0; i < 5; ++i) {
      overwrite(batch(i), record(i, images_[2 * i]) + record(9 - i, images_[2 * i + 1]));
    }
    overwrite(folder_ / "test_batch.bin", record(3, images_[0]));
  }
  fs::path batch(int i) const { return folder_ / concat("data_batch_", i + 1, ".bin"); }

  at::Tensor images_ = pixels(10, 3, 32);
};

TEST_F(Cifar10, ReadsTheBatchesInOrder) {
  const Dataset train = load();
  EXPECT_TRUE(at::equal(train.images, images_));
  EXPECT_TRUE(at::equal(train.labels, at::tensor({0, 9, 1, 8, 2, 7, 3, 6, 4, 5}, at::kLong)));
  EXPECT_TRUE(train.class_names.empty());
  const Dataset test = load(Split::test);
  EXPECT_TRUE(at::equal(test.images, images_.narrow(0, 0, 1)));
  EXPECT_TRUE(at::equal(test.labels, at::tensor({3}, at::kLong)));
}

TEST_F(Cifar10, FindsTheArchivesFolderAndItsNames) {
  const fs::path inside = folder_ / "around" / "cifar-10-batches-bin";
  fs::create_directories(inside);
  for (int i = 0; i < 5; ++i) fs::rename(batch(i), inside / batch(i).filename());
  overwrite(inside / "batches.meta.txt",
            "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\r\ntruck\n\n");
  use(DataKind::cifar10, folder_ / "around");
  const Dataset train = load();
  EXPECT_TRUE(at::equal(train.images, images_));
  EXPECT_EQ(train.class_names.size(), 10U);
  EXPECT_EQ(train.class_names[8], "ship");
  overwrite(inside / "batches.meta.txt", "airplane\n");
  EXPECT_THAT(refusal(), error_in(inside / "batches.meta.txt", "1 class names", "10"));
}

TEST_F(Cifar10, NamesTheFileThatIsWrong) {
  const std::string whole = read_file(batch(2));
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{3072}, whole.size() - 1}) {
    overwrite(batch(2), whole.substr(0, size));
    EXPECT_THAT(refusal(), error_in(batch(2), concat(size, " bytes"), "3073"));
  }
  overwrite(batch(2), whole + "x");
  EXPECT_THAT(refusal(), error_in(batch(2), "6147 bytes"));
  overwrite(batch(2), record(0, images_[0]) + record(10, images_[1]));
  EXPECT_THAT(refusal(), error_in(batch(2), "label 1", "10", "0..9"));
  fs::remove(batch(2));
  EXPECT_THAT(refusal(), error_in(batch(2), "cannot be read"));
  use(DataKind::cifar10, folder_ / "data_batch_1.bin");
  EXPECT_THAT(refusal(), error_in(config_.path));
}

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
  for (const at::ScalarType type : {at::kByte, at::kInt, at::kLong}) {
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

  NpzWriter writer(file_);
  writer.write("images", nhwc_);
  writer.close();
  EXPECT_THAT(refusal(), error_in(file_, "arr_0"));
  overwrite(file_, "PK");
  EXPECT_THAT(refusal(), error_in(file_, "zip"));
}

// ---- what every kind shares ----

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

TEST_F(Idx, AgreesWithTheConfiguredSizeAndChannels) {
  config_.image_size = 5;
  config_.channels = 1;
  EXPECT_EQ(load().size(), 3);
  config_.image_size = 28;
  EXPECT_THAT(refusal(), mentions("data.image_size = 28", folder_.string(), "5 pixels", "or 0"));
  config_.image_size = 0;
  config_.channels = 3;
  EXPECT_THAT(refusal(), mentions("data.channels = 3", folder_.string(), "have 1", "or 0"));
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
  const fs::path roundabout = folder_ / "cifar" / ".." / "a.npz";
  EXPECT_EQ(detect_dataset(roundabout).path, (folder_ / "a.npz").string());
  EXPECT_EQ(detect_dataset(roundabout).test_path, (folder_ / "a.npz").string());
  EXPECT_THAT(user_error([&] { kind(folder_ / "none"); }), error_in(folder_ / "none", "not found"));
  overwrite(folder_ / "a.zip", "");
  EXPECT_THAT(user_error([&] { kind(folder_ / "a.zip"); }),
              error_in(folder_ / "a.zip", ".npz", "folder"));
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
