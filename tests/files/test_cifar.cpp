// SPDX-License-Identifier: MIT
// CIFAR-10 and CIFAR-100 in both versions, read from small files.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "dataset_test.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using test::bytes_of;
using test::DatasetTest;
using test::error_in;
using test::mentions;
using test::overwrite;
using test::pixels;

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
  EXPECT_THAT(refusal(), error_in(batch(2), "not found"));
  use(DataKind::cifar10, folder_ / "data_batch_1.bin");
  EXPECT_THAT(refusal(), error_in(config_.path));
}

class Cifar100 : public DatasetTest {
 protected:
  Cifar100() {
    use(DataKind::cifar100, folder_);
    overwrite(folder_ / "train.bin",
              "\x13" + record(99, images_[0]) + "\x01" + record(0, images_[1]));
    overwrite(folder_ / "test.bin", "\x02" + record(7, images_[1]));
  }

  at::Tensor images_ = pixels(2, 3, 32);
};

TEST_F(Cifar100, HasTheFineLabels) {
  const Dataset train = load();
  EXPECT_TRUE(at::equal(train.images, images_));
  EXPECT_TRUE(at::equal(train.labels, at::tensor(at::ArrayRef<int>({99, 0}), at::kLong)));
  EXPECT_EQ(load(Split::test).labels.item<int>(), 7);
  std::string names;
  for (int i = 0; i < 100; ++i) names += concat("name ", i, "\n");
  overwrite(folder_ / "fine_label_names.txt", names);
  EXPECT_EQ(load().class_names.at(99), "name 99");
  EXPECT_EQ(detect_dataset(folder_).kind, DataKind::cifar100);
}

TEST_F(Cifar100, NamesTheFileThatIsWrong) {
  overwrite(folder_ / "train.bin", record(1, images_[0]));
  EXPECT_THAT(refusal(), error_in(folder_ / "train.bin", "3073 bytes", "3074", "CIFAR-100"));
  overwrite(folder_ / "train.bin", "\x01" + record(100, images_[0]));
  EXPECT_THAT(refusal(), error_in(folder_ / "train.bin", "label 0", "100", "0..99"));
}

// ---- the Python version, as Python 2 and Python 3 write it (tests/python/make_cifar_fixtures.py)
// ----

class CifarPython : public DatasetTest, public testing::WithParamInterface<const char*> {
 protected:
  fs::path made_ = fs::path(CDM_TEST_DATA) / "data" / "cifar" / GetParam();
};

TEST_P(CifarPython, IsReadAsTheBinaryOne) {
  const at::Tensor expected =
      at::arange(2 * 3072, at::kLong).mul(7).remainder(256).to(at::kByte).view({2, 3, 32, 32});
  use(DataKind::cifar10, made_);  // the folder that torchvision is given
  const Dataset ten = load(Split::test);
  EXPECT_TRUE(at::equal(ten.images, expected));
  EXPECT_TRUE(at::equal(ten.labels, at::tensor(at::ArrayRef<int>({3, 8}), at::kLong)));
  EXPECT_EQ(ten.class_names.at(3), "cat");
  use(DataKind::cifar100, made_ / "cifar-100-python");
  const Dataset hundred = load(Split::test);
  EXPECT_TRUE(at::equal(hundred.images, expected));
  EXPECT_TRUE(at::equal(hundred.labels, at::tensor(at::ArrayRef<int>({49, 99}), at::kLong)));
  EXPECT_EQ(hundred.class_names.at(99), "fine 99");
  EXPECT_EQ(detect_dataset(made_ / "cifar-10-batches-py").kind, DataKind::cifar10);
  EXPECT_EQ(detect_dataset(made_ / "cifar-100-python").kind, DataKind::cifar100);
}

TEST_P(CifarPython, IsRefusedWhereverItIsCut) {
  use(DataKind::cifar10, folder_);
  const std::string whole = read_file(made_ / "cifar-10-batches-py" / "test_batch");
  const fs::path file = folder_ / "test_batch";
  for (std::size_t size = 0; size < whole.size(); size += size < 400 ? 1 : 97) {
    overwrite(file, whole.substr(0, size));
    ASSERT_THAT(refusal(Split::test), error_in(file)) << size;
  }
}

TEST_P(CifarPython, IsReadOrRefusedWhicheverByteIsChanged) {
  use(DataKind::cifar10, folder_);
  const std::string whole = read_file(made_ / "cifar-10-batches-py" / "test_batch");
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); i += i < 400 || i + 100 > whole.size() ? 1 : 997) {
    for (const int mask : {0x01, 0x80}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      overwrite(folder_ / "test_batch", changed);
      refused += refusal(Split::test) == "no UserError" ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 200);
}

INSTANTIATE_TEST_SUITE_P(Cifar, CifarPython, testing::Values("python2", "python3"));

/// A pickle of a dict with these items.
std::string dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }

class CifarPickle : public DatasetTest {
 protected:
  CifarPickle() { use(DataKind::cifar10, folder_); }
  std::string refusal_of(const std::string& pickle) const {
    overwrite(file_, pickle);
    return refusal(Split::test);
  }

  fs::path file_ = folder_ / "test_batch";
};

TEST_F(CifarPickle, CallsNoFunctionButThoseOfArrays) {
  for (const char* name : {"os\nsystem", "builtins\neval", "__builtin__\neval", "numpy\nload",
                           "numpy.core.multiarray\nscalar", "numpy\nndarray2", "torch\nSize",
                           "collections\nOrderedDict", "_codecs\ndecode", "torch\nByteStorage"}) {
    EXPECT_THAT(refusal_of(dict(concat("U\4datac", name, "\nU\4true\x85R"))),
                error_in(file_, "asks Python", "not read"))
        << name;
  }
  // NumPy's class may be named, but not called.
  EXPECT_THAT(refusal_of(dict("U\4datacnumpy\nndarray\nK\1\x85R")), error_in(file_, "calls"));
}

/// 'data', an array of bytes with this shape, type and order of bytes.
std::string array_item(const std::string& shape, const std::string& type, const std::string& order,
                       const std::string& bytes) {
  return "U\4datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1"s +
         shape + "cnumpy\ndtype\nU\2"s + type + "K\0K\1\x87R(K\3U\1"s + order + "tb\x89U" +
         static_cast<char>(bytes.size()) + bytes + "tb";
}

TEST_F(CifarPickle, NamesWhatIsNotThere) {
  EXPECT_THAT(refusal_of("\x80\x02]."), error_in(file_, "'data'"));
  EXPECT_THAT(refusal_of(dict("U\4dataK\1")), error_in(file_, "'data'", "array"));
  EXPECT_THAT(refusal_of("\x80\x03}."), error_in(file_, "protocol 3", "only 2"));
  const std::string labels = "U\6labels]K\1a";
  const std::string four = "K\2K\2\x86";
  EXPECT_THAT(refusal_of(dict(array_item(four, "u1", "|", "abcd") + labels)),
              error_in(file_, "'data'", "[2, 2]", "3072"));
  EXPECT_THAT(refusal_of(dict(array_item(four, "i4", ">", std::string(16, 'x')) + labels)),
              error_in(file_, "'data'", "Int", "uint8"));
  EXPECT_THAT(refusal_of(dict(array_item(four, "u1", "|", "abc") + labels)),
              error_in(file_, "number of bytes"));
  EXPECT_THAT(refusal_of(dict(array_item(four, "O8", "|", "abcd") + labels)),
              error_in(file_, "type '|O8'"));
  EXPECT_THAT(
      refusal_of(dict(array_item("J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", "u1", "|", "abcd"))),
      error_in(file_, "number of bytes"));
  const std::string none = "K\0M\0\x0c\x86"s;  // (0, 3072)
  EXPECT_THAT(refusal_of(dict(array_item(none, "u1", "|", ""))), error_in(file_, "'labels'"));
  EXPECT_THAT(refusal_of(dict(array_item(none, "u1", "|", "") + labels)),
              error_in(file_, "1 labels", "0 images"));
  EXPECT_THAT(refusal_of(dict(array_item(none, "u1", "|", "") + "U\6labels]U\1xa")),
              error_in(file_, "'labels'", "whole numbers"));
}

TEST_F(CifarPickle, BytesThatAreUsedTooOftenAreRefused) {
  // One string of 2^20 bytes (memo 0) is the data of a thousand arrays: 1 GiB.
  const std::string count = "\0\0\x10\0"s;
  std::string pickle = "\x80\x02]T" + count + std::string(1 << 20, 'x') + "q\0"s + "a";
  for (int i = 0; i < 1000; ++i) {
    pickle += "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1"s + "J" +
              count + "\x85" + "cnumpy\ndtype\nU\2u1K\0K\1\x87R\x89h\0tba"s;
  }
  EXPECT_THAT(refusal_of(pickle + "."), error_in(file_, "same bytes"));
}

}  // namespace
}  // namespace cdm
