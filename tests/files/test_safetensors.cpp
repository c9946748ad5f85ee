// SPDX-License-Identifier: MIT
// Safetensors files: round trips, one that the safetensors package wrote
// (tests/python/make_array_fixtures.py), and damaged ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "arrays.h"
#include "cdm/core/file.h"
#include "cdm/io/safetensors.h"
#include "files.h"

namespace cdm {
namespace {

using test::error_in;
using test::overwrite;
using test::user_error;
using testing::HasSubstr;

using Metadata = std::map<std::string, std::string>;

std::string with_header(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + data;
}

class Safetensors : public test::FilesTest {
 protected:
  /// The message that refuses a file of these bytes.
  std::string refusal(std::string_view bytes) const {
    overwrite(file_, bytes);
    return user_error([&] { test::read_safetensors(file_); });
  }
  /// The message that refuses a file of this header and so many bytes of data.
  std::string refusal(const std::string& header, std::size_t data) const {
    return refusal(with_header(header, std::string(data, '\0')));
  }

  std::filesystem::path file_ = folder_ / "a.safetensors";
};

/// One entry of a header.
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return concat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                ",\"data_offsets\":", offsets, "}");
}

TEST_F(Safetensors, ComesBackInEveryTypeAndShape) {
  NamedTensors tensors;
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                    at::kInt, at::kShort, at::kChar, at::kByte, at::kBool}) {
    const std::string name = c10::toString(type);
    const at::Tensor numbers = at::arange(6, at::kDouble).sub(1).to(type);
    tensors.emplace_back(name + " {\"}\n gr\xc3\xbcn", numbers);
    tensors.emplace_back(name + ".transposed", numbers.view({2, 3}).t());
    tensors.emplace_back(name + ".scalar", numbers[3]);
    tensors.emplace_back(name + ".empty", at::zeros({2, 0, 3}, type));
  }
  const Metadata metadata = {{"format", "pt"}, {"empty", ""}, {"gr\xc3\xbcn", "\"\n"}};
  write_safetensors(file_, tensors, metadata);
  const SafetensorsFile read = test::read_safetensors(file_);
  EXPECT_EQ(read.metadata, metadata);
  std::map<std::string, at::Tensor> found(read.tensors.begin(), read.tensors.end());
  ASSERT_EQ(found.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(found[name].scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(found[name], tensor)) << name;
  }
}

TEST_F(Safetensors, KeepsTheOrderOfItsBytes) {
  write_safetensors(file_, {{"z", at::zeros({2})}, {"a", at::zeros({3})}, {"m", at::zeros({1})}});
  const SafetensorsFile read = test::read_safetensors(file_);
  ASSERT_EQ(read.tensors.size(), 3U);
  EXPECT_EQ(read.tensors[0].first, "z");
  EXPECT_EQ(read.tensors[1].first, "a");
  EXPECT_EQ(read.tensors[2].first, "m");
}

TEST_F(Safetensors, MayBeEmpty) {
  write_safetensors(file_, {});
  EXPECT_TRUE(test::read_safetensors(file_).tensors.empty());
  EXPECT_EQ(read_file(file_).size() % 8, 0U);
}

TEST_F(Safetensors, ReadsWhatThePackageWrites) {
  const SafetensorsFile read =
      test::read_safetensors(std::filesystem::path(CDM_TEST_DATA) / "data" / "numpy.safetensors");
  EXPECT_EQ(read.metadata, (Metadata{{"a", "b"}, {"gr\xc3\xbcn", ""}}));
  const std::map<std::string, at::Tensor> expected = {
      {"float64", at::arange(6, at::kDouble).sub(1).view({2, 3})},
      {"float16", at::tensor({1.5, -2.0}).to(at::kHalf)},
      {"int16", at::tensor({7, -7}, at::kShort)},
      {"int8", at::tensor({7, -7}, at::kChar)},
      {"uint8", at::tensor({0, 255}, at::kByte)},
      {"bool", at::tensor({1, 0}).to(at::kBool)},
      {"scalar", at::tensor({3}, at::kLong).squeeze(0)},
      {"empty", at::zeros({0, 3}, at::kInt)},
      {"float32", at::arange(3, at::kFloat)},
  };
  EXPECT_EQ(read.tensors.size(), expected.size());
  for (const auto& [name, tensor] : read.tensors) {
    EXPECT_EQ(tensor.scalar_type(), expected.at(name).scalar_type()) << name;
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name << ": " << tensor;
  }
}

TEST_F(Safetensors, RefusesOffsetsThatDoNotFit) {
  const std::string a = entry("a", "[2]", "[0,8]");
  EXPECT_EQ(refusal("{" + a + "," + entry("b", "[1]", "[8,12]") + "}", 12), "no UserError");
  EXPECT_THAT(refusal("{" + a + "," + entry("b", "[1]", "[4,8]") + "}", 8),
              error_in(file_, "'b'", "offsets 4..8"));
  const std::pair<const char*, std::string> wrong[] = {
      {"the same bytes", entry("b", "[2]", "[0,8]")},
      {"a gap", entry("b", "[1]", "[9,13]")},
      {"too few bytes", entry("b", "[1]", "[8,11]")},
      {"too many bytes", entry("b", "[1]", "[8,13]")},
      {"beyond the end", entry("b", "[100]", "[8,408]")},
      {"backwards", entry("b", "[1]", "[12,8]")},
      {"far away", entry("b", "[1]", "[18446744073709551612,18446744073709551615]")},
      {"negative", entry("b", "[1]", "[8,-12]")},
      {"not whole", entry("b", "[1]", "[8.5,12.5]")},
      {"one", entry("b", "[1]", "[8]")},
      {"three", entry("b", "[1]", "[8,12,16]")},
      {"no list", entry("b", "[1]", "8")},
      {"negative shape", entry("b", "[-1]", "[8,4]")},
      {"negative shapes", entry("b", "[-1,-1]", "[8,12]")},
      {"fraction of a shape", entry("b", "[1.5]", "[8,12]")},
      {"no shape", entry("b", "1", "[8,12]")},
      {"unknown type", entry("b", "[1]", "[8,12]", "F31")},
      {"no object", "\"b\":1"},
      {"nothing in it", "\"b\":{}"},
  };
  for (const auto& [what, b] : wrong) {
    for (const std::size_t size : {12U, 13U}) {
      EXPECT_THAT(refusal("{" + a + "," + b + "}", size), error_in(file_)) << what;
    }
  }
  EXPECT_THAT(refusal("{" + a + "}", 9), HasSubstr("bytes after the last tensor"));
}

TEST_F(Safetensors, AClaimOfManyElementsCostsNothing) {
  for (const char* shape :
       {"[1000000000000]", "[1000000,1000000]", "[4611686018427387904,4]",
        "[0,4611686018427387904,4611686018427387904]", "[9223372036854775807]",
        "[18446744073709551615]", "[4611686018427387904,0,4611686018427387904]"}) {
    for (const char* offsets : {"[0,4000000000000]", "[0,0]", "[0,4]"}) {
      for (const std::size_t size : {0U, 4U}) {
        EXPECT_THAT(refusal("{" + entry("a", shape, offsets) + "}", size), error_in(file_))
            << shape << offsets;
      }
    }
  }
  std::string long_header(8, '\xff');
  EXPECT_THAT(refusal(long_header + "{}"), HasSubstr("shorter than its header"));
  long_header[7] = '\x00';
  EXPECT_THAT(refusal(long_header + "{}"), HasSubstr("shorter than its header"));
}

TEST_F(Safetensors, RefusesOtherHeaders) {
  EXPECT_THAT(refusal("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal("null", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal("{\"a\":", 0), HasSubstr("header"));
  EXPECT_THAT(refusal("{\"a\xff\":1}", 0), HasSubstr("header"));
  EXPECT_THAT(refusal("{\"__metadata__\":{\"a\":1}}", 0), HasSubstr("'__metadata__'"));
  EXPECT_THAT(refusal(std::string(100000, '['), 0), HasSubstr("header"));
  EXPECT_THAT(refusal(with_header("{" + entry("a", "[2]", "[0,2]", "BOOL") + "}", "\x01\x02")),
              HasSubstr("'a' holds truth values"));
  const std::string a = entry("a", "[1]", "[0,4]");
  EXPECT_THAT(refusal("{" + a + "," + a + "}", 4), HasSubstr("'a' is there twice"));
}

TEST_F(Safetensors, NamesAFileThatIsCutAnywhere) {
  write_safetensors(file_, {{"a", at::arange(3, at::kFloat)}, {"b", at::zeros({1}, at::kByte)}},
                    {{"key", "value"}});
  const std::string whole = read_file(file_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_THAT(refusal(std::string_view(whole).substr(0, size)), error_in(file_)) << size;
  }
  EXPECT_THAT(refusal(whole + "x"), error_in(file_));
}

TEST_F(Safetensors, ReadsOrRefusesAFileWithAnyByteChanged) {
  write_safetensors(file_, {{"a", at::arange(3, at::kFloat)}, {"b", at::zeros({1}, at::kByte)}},
                    {{"key", "value"}});
  const std::string whole = read_file(file_);
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      refused += refusal(bytes) == "no UserError" ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 200);
}

TEST_F(Safetensors, RefusesToWriteATypeWithoutAName) {
  EXPECT_THROW(write_safetensors(file_, {{"a", at::zeros({1}, at::kComplexFloat)}}),
               std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace cdm
