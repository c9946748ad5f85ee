// SPDX-License-Identifier: MIT
// .npz archives: round trips, NumPy's own (tests/python/make_array_fixtures.py), and damaged ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "cdm/core/file.h"
#include "cdm/io/npz.h"
#include "files.h"
#include "io/zip.h"

namespace cdm {
namespace {

using test::error_in;
using test::overwrite;
using test::user_error;
using testing::ElementsAre;

const std::filesystem::path kData = std::filesystem::path(CDM_TEST_DATA) / "data";

class Npz : public test::FilesTest {
 protected:
  std::filesystem::path file_ = folder_ / "a.npz";
};

class NumPysNpz : public Npz, public testing::WithParamInterface<const char*> {};

/// As make_array_fixtures.py makes them.
std::map<std::string, at::Tensor> expected_arrays() {
  const at::Tensor numbers = at::arange(24, at::kLong).sub(1);
  std::map<std::string, at::Tensor> arrays = {
      {"bool", at::tensor({1, 0, 1}).to(at::kBool)},
      {"uint8", at::arange(24, at::kByte).view({2, 3, 4})},
      {"scalar", at::tensor({2.5}, at::kDouble).squeeze(0)},
      {"empty", at::zeros({0, 3})},
      {"fortran", at::arange(6, at::kFloat).view({2, 3})},
      {"fortran3", numbers.to(at::kInt).view({2, 3, 4})},
      {"sliced", at::tensor({-1, 4, 9, 14, 19}, at::kLong)},
      {"big_endian", at::arange(3, at::kFloat)},
      {"uint16", at::tensor({0, 1, 65535}, at::kInt)},
  };
  const std::pair<const char*, at::ScalarType> types[] = {{"int32", at::kInt},
                                                          {"int64", at::kLong},
                                                          {"float16", at::kHalf},
                                                          {"float32", at::kFloat},
                                                          {"float64", at::kDouble}};
  for (const auto& [name, type] : types) arrays[name] = numbers.to(type).view({4, 6});
  return arrays;
}

TEST_P(NumPysNpz, ReadsEveryArray) {
  const std::filesystem::path file = kData / GetParam();
  const auto expected = expected_arrays();
  EXPECT_EQ(npz_names(file).size(), expected.size());
  for (const auto& [name, array] : expected) {
    const at::Tensor read = read_npz(file, name);
    EXPECT_EQ(read.scalar_type(), array.scalar_type()) << name;
    EXPECT_TRUE(at::equal(read, array)) << name << ": " << read;
    EXPECT_TRUE(read.is_contiguous()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Npz, NumPysNpz, testing::Values("numpy_stored.npz", "numpy_deflated.npz"));

TEST_F(Npz, ReadsEveryFormatVersion) {
  for (const char* name : {"version1", "version2", "version3"}) {
    EXPECT_TRUE(at::equal(read_npz(kData / "numpy_versions.npz", name), at::arange(5, at::kFloat)))
        << name;
  }
}

TEST_F(Npz, RefusesTypesThatItDoesNotRead) {
  const std::filesystem::path file = kData / "numpy_refused.npz";
  EXPECT_EQ(npz_names(file).size(), 4U);
  for (const std::string& name : npz_names(file)) {
    EXPECT_THAT(user_error([&] { read_npz(file, name); }),
                error_in(file, "'" + name + "'", "type"));
  }
}

TEST_F(Npz, ComesBackAsItWas) {
  NpzWriter writer(file_);
  const at::Tensor images = at::arange(48, at::kByte).view({4, 2, 2, 3});
  writer.begin("arr_0", at::kByte, {4, 2, 2, 3});
  writer.append(images.narrow(0, 0, 3));
  writer.append(images.narrow(0, 3, 1));
  writer.write("arr_1", at::tensor({3, 1, 2, 0}, at::kLong));
  writer.write("a name of its own", at::tensor({0.5}, at::kDouble).squeeze(0));
  writer.write("empty", at::zeros({0, 7}));
  writer.write("turned", images.permute({3, 0, 1, 2}));
  EXPECT_FALSE(std::filesystem::exists(file_));
  writer.close();

  EXPECT_THAT(npz_names(file_),
              ElementsAre("arr_0", "arr_1", "a name of its own", "empty", "turned"));
  EXPECT_TRUE(at::equal(read_npz(file_, "arr_0"), images));
  EXPECT_TRUE(at::equal(read_npz(file_, "arr_1"), at::tensor({3, 1, 2, 0}, at::kLong)));
  EXPECT_EQ(read_npz(file_, "a name of its own").item<double>(), 0.5);
  EXPECT_EQ(read_npz(file_, "empty").sizes(), at::IntArrayRef({0, 7}));
  EXPECT_TRUE(at::equal(read_npz(file_, "turned"), images.permute({3, 0, 1, 2})));
}

TEST_F(Npz, AnUnfinishedWriterLeavesNothing) {
  std::optional<NpzWriter> writer(std::in_place, file_);
  writer->begin("arr_0", at::kByte, {4, 2});
  writer->append(at::zeros({3, 2}, at::kByte));
  EXPECT_THROW(writer->append(at::zeros({2, 2}, at::kByte)), std::logic_error) << "too many";
  EXPECT_THROW(writer->append(at::zeros({1, 3}, at::kByte)), c10::Error) << "too wide";
  EXPECT_THROW(writer->append(at::zeros({1, 2}, at::kInt)), c10::Error) << "another type";
  EXPECT_THROW(writer->close(), std::logic_error) << "a row is missing";
  writer.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Npz, NamesWhatIsMissing) {
  const std::filesystem::path file = kData / "numpy_stored.npz";
  EXPECT_THAT(user_error([&] { read_npz(file, "arr_0"); }), error_in(file, "'arr_0'", "'bool'"));
  EXPECT_THAT(user_error([&] { npz_names(file_); }), error_in(file_, "No such file"));
  overwrite(file_, "\x93NUMPY and no archive at all");
  EXPECT_THAT(user_error([&] { npz_names(file_); }), error_in(file_, "zip"));
}

class DamagedNpz : public Npz, public testing::WithParamInterface<const char*> {
 protected:
  /// The message of reading everything in the file.
  std::string read_all() const {
    return user_error([&] {
      for (const std::string& name : npz_names(file_)) read_npz(file_, name);
    });
  }
};

TEST_P(DamagedNpz, IsRefusedWhereverItIsCut) {
  const std::string whole = read_file(kData / GetParam());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    overwrite(file_, std::string_view(whole).substr(0, size));
    ASSERT_THAT(read_all(), error_in(file_)) << size;
  }
}

TEST_P(DamagedNpz, IsRefusedOrReadWhicheverByteIsChanged) {
  const std::string whole = read_file(kData / GetParam());
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      overwrite(file_, bytes);
      if (read_all() != "no UserError") ++refused;
    }
  }
  EXPECT_GT(refused, whole.size());
}

INSTANTIATE_TEST_SUITE_P(Npz, DamagedNpz, testing::Values("numpy_versions.npz", "numpy_small.npz"));

TEST_F(Npz, AClaimOfManyElementsCostsNothing) {
  // An archive right to the last checksum, whose array says that it has 10^12 elements.
  std::string array("\x93NUMPY\x01\x00\x46\x00", 10);
  array += "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n";
  ASSERT_EQ(array.size(), 10U + 0x46U);
  ZipWriter zip(file_);
  zip.write("a.npy", array);
  zip.close();
  EXPECT_THAT(user_error([&] { read_npz(file_, "a"); }),
              error_in(file_, "'a'", "header", "bytes", " 0 "));
}

/// The most memory that this process has had.
std::int64_t peak_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * std::int64_t{1024};
}

TEST_F(Npz, AClaimOfManyBytesCostsNothing) {
  const std::int64_t before = peak_bytes();
  for (const char* made : {"numpy_versions.npz", "numpy_small.npz"}) {
    std::string bytes = read_file(kData / made);
    const std::string name = npz_names(kData / made)[0];
    const std::size_t directory = bytes.find(std::string("PK\1\2", 4));
    ASSERT_NE(directory, std::string::npos);
    for (std::size_t i = 0; i < 4; ++i) bytes[directory + 24 + i] = '\x7f';  // 2 GiB
    overwrite(file_, bytes);
    EXPECT_THAT(user_error([&] { read_npz(file_, name); }),
                error_in(file_, concat("'", name, ".npy'"), "damaged"));
  }
  EXPECT_LT(peak_bytes() - before, 500 << 20);
}

}  // namespace
}  // namespace cdm
