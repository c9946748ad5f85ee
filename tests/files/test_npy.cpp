// SPDX-License-Identifier: MIT
// .npy files: round trips, NumPy's own (tests/python/make_array_fixtures.py), and damaged ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "cdm/core/file.h"
#include "cdm/io/npy.h"
#include "files.h"

namespace cdm {
namespace {

using test::error_in;
using test::mentions;
using test::overwrite;
using test::user_error;
using test::write_npy;
using testing::HasSubstr;

constexpr at::ScalarType kTypes[] = {at::kByte, at::kBool, at::kChar,  at::kShort, at::kInt,
                                     at::kLong, at::kHalf, at::kFloat, at::kDouble};

class Npy : public test::FilesTest {
 protected:
  std::string refusal(std::string_view bytes) const {
    overwrite(file_, bytes);
    return user_error([&] { read_npy(file_); });
  }

  std::filesystem::path file_ = folder_ / "a.npy";
};

/// A file of format version 1 with this dictionary and these data bytes.
std::string npy(std::string dictionary, std::string_view data) {
  dictionary += '\n';
  const auto size = dictionary.size();
  return std::string("\x93NUMPY\x01") + '\0' + static_cast<char>(size & 0xff) +
         static_cast<char>(size >> 8) + dictionary + std::string(data);
}

std::string header_of(const std::string& shape, const std::string& descr = "'<f4'") {
  return concat("{'descr': ", descr, ", 'fortran_order': False, 'shape': ", shape, ", }");
}

TEST_F(Npy, ComesBackInEveryTypeAndShape) {
  for (const at::ScalarType type : kTypes) {
    for (const std::vector<std::int64_t>& shape :
         {std::vector<std::int64_t>{1}, {7}, {0}, {3, 0, 2}, {2, 3}, {2, 3, 4, 5}}) {
      std::int64_t count = 1;
      for (const std::int64_t size : shape) count *= size;
      const at::Tensor array = at::arange(count, at::kDouble).sub(1).to(type).view(shape);
      write_npy(file_, array);
      const at::Tensor read = read_npy(file_);
      EXPECT_EQ(read.scalar_type(), type);
      EXPECT_TRUE(at::equal(read, array)) << type << " " << array.sizes();
      EXPECT_EQ(read_file(file_).find('\n') % 64, 63U) << "data do not begin at a multiple of 64";
    }
  }
}

TEST_F(Npy, WritesWhatLiesElsewhereInOrder) {
  const at::Tensor base = at::arange(24, at::kFloat).view({2, 3, 4});
  for (const at::Tensor& array : {base.permute({2, 0, 1}), base.slice(2, 0, 4, 2), base[1]}) {
    write_npy(file_, array);
    EXPECT_TRUE(at::equal(read_npy(file_), array));
    EXPECT_TRUE(read_npy(file_).is_contiguous());
  }
}

TEST_F(Npy, WritesTheVeryBytesOfNumPy) {
  const std::filesystem::path made = std::filesystem::path(CDM_TEST_DATA) / "data" / "numpy.npy";
  const at::Tensor array = read_npy(made);
  EXPECT_TRUE(at::equal(array, at::arange(24, at::kFloat).view({2, 3, 4})));
  write_npy(file_, array);
  // NumPy leaves no comma after the last size; nothing else differs.
  std::string ours = read_file(file_);
  const std::string comma = "(2, 3, 4, )";
  ASSERT_NE(ours.find(comma), std::string::npos);
  ours.replace(ours.find(comma), comma.size(), "(2, 3, 4)").insert(ours.find('\n') - 2, 2, ' ');
  EXPECT_EQ(ours, read_file(made));
}

TEST_F(Npy, ReadsHeadersInAnyOrder) {
  const std::string four(4, '\0');
  for (const char* header : {"{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}",
                             "{'descr':'<f4','fortran_order':False,'shape':(1,)}",
                             "{'descr': \"<f4\", 'fortran_order': True, 'shape': (1, ), }"}) {
    overwrite(file_, npy(header, four));
    EXPECT_TRUE(at::equal(read_npy(file_), at::zeros({1}))) << header;
  }
}

TEST_F(Npy, ReadsEveryIntegerTypeInEitherOrderOfBytes) {
  struct Stored {
    const char* type;
    const char* little_endian;  // 1, then the largest number
    std::size_t width;
    at::ScalarType read_as;
    std::int64_t largest;
  };
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [type, little_endian, width, read_as, largest] :
       {Stored{"u1", "\1\xff", 1, at::kByte, 255}, Stored{"i1", "\1\x7f", 1, at::kChar, 127},
        Stored{"u2", "\1\0\xff\xff", 2, at::kInt, 65535},
        Stored{"i2", "\1\0\xff\x7f", 2, at::kShort, 32767},
        Stored{"u4", "\1\0\0\0\xff\xff\xff\xff", 4, at::kLong, 4294967295},
        Stored{"i4", "\1\0\0\0\xff\xff\xff\x7f", 4, at::kInt, 2147483647},
        Stored{"u8", "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 8, at::kLong, most},
        Stored{"i8", "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 8, at::kLong, most}}) {
    const std::string little(little_endian, 2 * width);
    std::string big = little;
    for (std::size_t i = 0; i < big.size(); i += width) {
      std::reverse(big.begin() + static_cast<std::ptrdiff_t>(i),
                   big.begin() + static_cast<std::ptrdiff_t>(i + width));
    }
    for (const char* order : {"<", ">"}) {
      SCOPED_TRACE(concat(order, type));
      overwrite(file_, npy(header_of("(2,)", concat("'", order, type, "'")),
                           *order == '<' ? little : big));
      const at::Tensor read = read_npy(file_);
      EXPECT_EQ(read.scalar_type(), read_as);
      EXPECT_EQ(read[0].item<std::int64_t>(), 1);
      EXPECT_EQ(read[1].item<std::int64_t>(), largest);
    }
  }
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'<u8'"), std::string(8, '\xff'))),
              error_in(file_, "2^63"));
  overwrite(file_, npy(header_of("(1,)", "'>f4'"), std::string("\x3f\xc0\0\0", 4)));
  EXPECT_EQ(read_npy(file_).item<float>(), 1.5F);
}

TEST_F(Npy, RefusesOtherHeaders) {
  const std::string four(4, '\0');
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'|f4'"), four)), HasSubstr("order of its bytes"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'!f4'"), four)), HasSubstr("type '!f4' is not read"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'<f3'"), four)), HasSubstr("type '<f3' is not read"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'<c8'"), four)), HasSubstr("type '<c8' is not read"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'<f4x'"), four)), HasSubstr("type"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "'<f4"), four)), HasSubstr("type"));
  EXPECT_THAT(refusal(npy(header_of("(1,)", "[('a', '<f4')]"), four)), HasSubstr("no simple type"));
  EXPECT_THAT(refusal(npy("{'fortran_order': False, 'shape': (1,), }", four)), HasSubstr("type"));
  EXPECT_THAT(refusal(npy("{'descr': '<f4', 'shape': (1,), }", four)), HasSubstr("fortran_order"));
  EXPECT_THAT(refusal(npy("{'descr': '<f4', 'fortran_order': False, }", four)),
              HasSubstr("no shape"));
  for (const char* shape : {"1", "(1", "(-1,)", "(a,)", "(1.5,)", "(99999999999999999999,)"}) {
    EXPECT_THAT(refusal(npy(header_of(shape), four)), HasSubstr("no shape")) << shape;
  }
  EXPECT_THAT(refusal(npy(header_of("(2,)", "'|b1'"), "\x01\x02")), HasSubstr("truth values"));
  std::string version9 = npy(header_of("(1,)"), four);
  version9[6] = 9;
  EXPECT_THAT(refusal(version9), HasSubstr("format version 9"));
  EXPECT_THAT(refusal("PNG"), HasSubstr("does not start like one"));
}

TEST_F(Npy, RefusesSizesThatAreNotItsOwn) {
  EXPECT_THAT(refusal(npy(header_of("(2,)"), std::string(4, '\0'))),
              error_in(file_, "header", "bytes", " 4 "));
  EXPECT_THAT(refusal(npy(header_of("(1,)"), std::string(5, '\0'))),
              error_in(file_, "header", "bytes", " 5 "));
  // Claims, most of them of no bytes, that would cost memory or overflow if they were believed.
  for (const char* shape :
       {"(1000000000000,)", "(1000000, 1000000)", "(4611686018427387904, 4)",
        "(4611686018427387904, 0, 4611686018427387904)",
        "(0, 4611686018427387904, 4611686018427387904)", "(9223372036854775807,)"}) {
    for (const std::string data : {"", "0123"}) {
      EXPECT_THAT(refusal(npy(header_of(shape), data)), error_in(file_)) << shape;
    }
  }
}

TEST_F(Npy, RefusesMoreDimensionsThanNumPyHas) {
  const auto ones = [](int count) {
    std::string shape = "(";
    for (int i = 0; i < count; ++i) shape += "1, ";
    return shape + ")";
  };
  for (const char* order : {"False", "True"}) {
    const auto file = [&](int count) {
      return npy(
          concat("{'descr': '|u1', 'fortran_order': ", order, ", 'shape': ", ones(count), ", }"),
          "x");
    };
    overwrite(file_, file(64));
    EXPECT_EQ(read_npy(file_).dim(), 64) << order;
    EXPECT_THAT(refusal(file(65)), HasSubstr("65 dimensions")) << order;
    EXPECT_THAT(refusal(file(20000)), HasSubstr("20000 dimensions")) << order;
  }
}

TEST_F(Npy, NamesAFileThatIsCutAnywhere) {
  write_npy(file_, at::arange(6, at::kFloat).view({2, 3}));
  const std::string whole = read_file(file_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_THAT(refusal(whole.substr(0, size)), error_in(file_)) << size;
  }
  EXPECT_THAT(refusal(whole + "x"), error_in(file_));
}

TEST_F(Npy, ReadsOrRefusesAFileWithAnyByteChanged) {
  write_npy(file_, at::arange(6, at::kFloat).view({2, 3}));
  const std::string whole = read_file(file_);
  int refused = 0;
  for (std::size_t i = 0; i < whole.find('\n'); ++i) {
    for (const int mask : {0x01, 0x10, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      refused += refusal(bytes) == "no UserError" ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(Npy, NamesAMissingFile) {
  EXPECT_THAT(user_error([&] { read_npy(folder_ / "none.npy"); }),
              error_in(folder_ / "none.npy", "No such file"));
}

TEST_F(Npy, RowsAddUpToTheWholeArray) {
  const at::Tensor array = at::arange(24, at::kInt).view({6, 2, 2});
  NpyWriter writer(file_, at::kInt, {6, 2, 2});
  writer.append(array.narrow(0, 0, 1));
  writer.append(array.narrow(0, 1, 0));
  writer.append(array.narrow(0, 1, 3).contiguous());
  writer.append(array.narrow(0, 4, 2));
  EXPECT_FALSE(std::filesystem::exists(file_));
  writer.close();
  EXPECT_TRUE(at::equal(read_npy(file_), array));
  std::filesystem::path whole = folder_ / "whole.npy";
  write_npy(whole, array);
  EXPECT_EQ(read_file(file_), read_file(whole));
}

TEST_F(Npy, AnUnfinishedWriterLeavesNothing) {
  std::optional<NpyWriter> writer(std::in_place, file_, at::kInt, std::vector<std::int64_t>{6, 2});
  writer->append(at::zeros({5, 2}, at::kInt));
  EXPECT_THROW(writer->append(at::zeros({2, 2}, at::kInt)), c10::Error) << "too many";
  EXPECT_THROW(writer->append(at::zeros({1, 3}, at::kInt)), c10::Error) << "too wide";
  EXPECT_THROW(writer->append(at::zeros({1, 2}, at::kFloat)), c10::Error) << "another type";
  EXPECT_THROW(writer->close(), c10::Error) << "a row is missing";
  writer.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Npy, AFolderThatIsNotThereIsNamed) {
  const std::filesystem::path file = folder_ / "none" / "a.npy";
  try {
    write_npy(file, at::zeros({1}));
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), mentions(file.string(), "No such file"));
  }
  EXPECT_THROW(write_npy(file_, at::zeros({1}, at::kComplexFloat)), c10::Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace cdm
