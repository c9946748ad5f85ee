// SPDX-License-Identifier: MIT
// IDX files: MNIST, Fashion-MNIST and EMNIST, read from small files made here.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "dataset_test.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::bytes_of;
using test::DatasetTest;
using test::error_in;
using test::mentions;
using test::overwrite;
using test::pixels;

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

TEST_F(Idx, ALinkToNowhereInPlaceOfLabelsIsNamed) {
  fs::remove(labels_);
  EXPECT_FALSE(load().labels.defined());
  fs::create_symlink("/nowhere", labels_);
  EXPECT_THAT(refusal(), error_in(labels_, "link to /nowhere"));
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
  EXPECT_THAT(refusal(Split::test),
              error_in(folder_ / "t10k-images-idx3-ubyte", "not found", ".gz"));
}

TEST_F(Idx, AreImagesWithoutLabelsWhereTheirFileIsNotThere) {
  fs::remove(labels_);
  EXPECT_EQ(load().size(), 3);
  EXPECT_FALSE(load().labels.defined());
}

TEST_F(Idx, MayHaveADotInTheirNames) {
  fs::rename(images_, folder_ / "train-images.idx3-ubyte");
  overwrite(folder_ / "train-labels.idx1-ubyte.gz", gzipped(read_file(labels_)));
  fs::remove(labels_);
  EXPECT_TRUE(at::equal(load().images, pixels(3, 1, 5)));
  EXPECT_TRUE(at::equal(load().labels, at::tensor({7, 1, 9}, at::kLong)));
  EXPECT_EQ(detect_dataset(folder_).kind, DataKind::mnist);
  // One copy has a folder of the usual name around each file.
  fs::create_directories(images_);
  EXPECT_EQ(load().size(), 3);
}

TEST_F(Idx, AreFoundWhereTorchvisionPutsThem) {
  for (const auto& [inside, kind] : {std::pair("MNIST/raw", DataKind::mnist),
                                     std::pair("FashionMNIST/raw", DataKind::fashion_mnist)}) {
    const fs::path root = folder_ / name_of(kind);
    overwrite(root / inside / images_.filename(), read_file(images_));
    EXPECT_EQ(detect_dataset(root).kind, kind);
    use(kind, root);
    EXPECT_EQ(load().size(), 3);
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

// ---- EMNIST ----

class Emnist : public DatasetTest {
 protected:
  Emnist() { use(DataKind::emnist, folder_); }
  /// The files of one part, with images 2 x 2 that hold 1, 2, 3, 4.
  void write(const std::string& part, const std::string& labels, const fs::path& inside = {},
             const char* split = "train") const {
    const auto count = static_cast<std::uint32_t>(labels.size());
    std::string images;
    for (std::uint32_t i = 0; i < count; ++i) images += "\1\2\3\4";
    const fs::path stem = folder_ / inside / concat("emnist-", part, "-", split);
    overwrite(stem.string() + "-images-idx3-ubyte", idx({count, 2, 2}, images));
    overwrite(stem.string() + "-labels-idx1-ubyte.gz", gzipped(idx({count}, labels)));
  }
};

TEST_F(Emnist, StandsUpright) {
  write("digits", std::string("\0\3", 2));
  const Dataset digits = load();
  EXPECT_TRUE(at::equal(digits.images[1][0],
                        at::tensor(at::ArrayRef<int>({1, 3, 2, 4}), at::kByte).view({2, 2})));
  EXPECT_TRUE(digits.images.is_contiguous());
  EXPECT_TRUE(at::equal(digits.labels, at::tensor(at::ArrayRef<int>({0, 3}), at::kLong)));
  EXPECT_EQ(digits.class_names.size(), 10U);
  EXPECT_THAT(refusal(Split::test),
              error_in(folder_ / "emnist-digits-test-images-idx3-ubyte", "not found"));
}

TEST_F(Emnist, CountsLettersFromZero) {
  write("letters", "\x01\x1a");
  EXPECT_TRUE(at::equal(load().labels, at::tensor(at::ArrayRef<int>({0, 25}), at::kLong)));
  EXPECT_EQ(load().class_names.size(), 26U);
  EXPECT_EQ(load().class_names.front(), "a");
  for (const std::string& wrong : {std::string("\0", 1), std::string("\x1b")}) {
    write("letters", wrong);
    EXPECT_THAT(refusal(), error_in(folder_ / "emnist-letters-train-labels-idx1-ubyte.gz",
                                    "label 0", "1..26"));
  }
}

TEST_F(Emnist, NamesTheClassesOfEachPart) {
  struct Named {
    const char* part;
    std::size_t classes;
    std::size_t number;
    const char* name;
  };
  for (const auto& [part, classes, number, name] :
       {Named{"byclass", 62, 61, "z"}, Named{"bymerge", 47, 36, "a"},
        Named{"balanced", 47, 46, "t"}, Named{"mnist", 10, 9, "9"}}) {
    fs::remove_all(folder_);
    write(part, std::string(1, static_cast<char>(classes - 1)));
    ASSERT_EQ(load().class_names.size(), classes) << part;
    EXPECT_EQ(load().class_names[number], name) << part;
    write(part, std::string(1, static_cast<char>(classes)));
    EXPECT_NE(refusal(), "no UserError") << part;
  }
}

TEST_F(Emnist, ThePathChoosesAmongSeveralParts) {
  write("letters", "\1", "gzip");
  write("digits", "\7", "gzip");
  write("digits", "\2", "gzip", "test");
  EXPECT_THAT(refusal(), error_in(folder_, "several parts", "emnist-digits, emnist-letters"));
  const fs::path one = folder_ / "emnist-digits";
  use(DataKind::emnist, one);
  EXPECT_EQ(load().labels.item<int>(), 7);
  EXPECT_EQ(load(Split::test).labels.item<int>(), 2);
  EXPECT_EQ(detect_dataset(one).kind, DataKind::emnist);
  EXPECT_EQ(detect_dataset(folder_).kind, DataKind::emnist);
  use(DataKind::emnist, folder_ / "emnist-balanced");
  EXPECT_THAT(refusal(), error_in(config_.path, "emnist-PART", "balanced", "letters"));
}

}  // namespace
}  // namespace cdm
