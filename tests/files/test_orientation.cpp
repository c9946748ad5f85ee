// SPDX-License-Identifier: MIT
// EXIF's orientation: pictures stand as viewers show them, in all formats that can say it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/io/image.h"
#include "cdm/io/npz.h"
#include "files.h"
#include "io/decode.h"

namespace cdm {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

const std::filesystem::path kPictures = std::filesystem::path(CDM_TEST_DATA) / "data" / "pictures";

// The tag 0x112, a short, one of it, 1: as it is in the fixtures, in either byte order.
constexpr std::string_view kEntries[] = {"\x12\x01\x03\0\x01\0\0\0\x01\0"sv,
                                         "\x01\x12\0\x03\0\0\0\x01\0\x01"sv};

/// Where the orientation is in a fixture: the byte that holds it.
std::size_t place_of_orientation(const std::string& bytes) {
  std::size_t place = 0;
  for (const std::string_view entry : kEntries) {
    const std::size_t at = bytes.find(entry);
    if (at == std::string::npos) continue;
    EXPECT_EQ(place, 0U);
    EXPECT_EQ(bytes.find(entry, at + 1), std::string::npos);
    place = at + (entry[0] == '\x12' ? 8 : 9);
  }
  EXPECT_GT(place, 0U);
  return place;
}

/// EXIF data with one entry, of either byte order.
std::string exif(bool little, int tag, int type, int value) {
  const auto number = [&](int n, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      bytes += static_cast<char>(n >> (8 * (little ? i : count - 1 - i)));
    }
    return bytes;
  };
  return std::string(little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) +
         number(tag, 2) + number(type, 2) + number(1, 4) +
         (type == 3 ? number(value, 2) + number(0, 2) : number(value, 4)) + number(0, 4);
}

class Orientation : public test::FilesTest, public testing::WithParamInterface<const char*> {};

TEST_P(Orientation, IsThatOfPillowsTurnedPicture) {
  const std::string name = GetParam();
  const std::string bytes = read_file(kPictures / name);
  const std::size_t place = place_of_orientation(bytes);
  const bool is_jpeg = name.ends_with("jpg");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    std::string turned = bytes;
    turned[place] = static_cast<char>(orientation);
    if (const std::size_t chunk = turned.find("eXIf"); chunk != std::string::npos) {
      const std::size_t length = static_cast<unsigned char>(turned[chunk - 1]);
      const auto* const checked = reinterpret_cast<const Bytef*>(turned.data() + chunk);
      const auto crc = static_cast<std::uint32_t>(::crc32_z(0, checked, 4 + length));
      for (std::size_t i = 0; i < 4; ++i) {
        turned[chunk + 4 + length + i] = static_cast<char>(crc >> (24 - 8 * i));
      }
    }
    test::overwrite(folder_ / name, turned);
    const at::Tensor expected = read_npz(
        kPictures / "expected.npz", concat(orientation, " of turned.", is_jpeg ? "jpg" : "png"));
    const at::Tensor found = read_image(folder_ / name, 3);
    ASSERT_EQ(found.sizes(), expected.sizes()) << orientation;
    EXPECT_TRUE(found.is_contiguous());
    EXPECT_LE((found.to(at::kInt) - expected.to(at::kInt)).abs().max().item<int>(), is_jpeg ? 1 : 0)
        << orientation;
    EXPECT_EQ(read_image(folder_ / name, 1).sizes().slice(1), expected.sizes().slice(1));
  }
}

INSTANTIATE_TEST_SUITE_P(Image, Orientation,
                         testing::Values("turned.jpg", "turned.png", "turned.webp", "turned.tif"),
                         [](const auto& info) { return std::string(info.param).substr(7); });

TEST(Exif, OrientationIsReadInEitherByteOrder) {
  for (const bool little : {false, true}) {
    for (const int type : {3, 4}) {
      for (int value = 0; value <= 9; ++value) {
        const int expected = value >= 1 && value <= 8 ? value : 1;
        EXPECT_EQ(exif_orientation(exif(little, 0x112, type, value)), expected);
        EXPECT_EQ(exif_orientation("Exif\0\0"s + exif(little, 0x112, type, value)), expected);
      }
    }
    EXPECT_EQ(exif_orientation(exif(little, 0x113, 3, 6)), 1);
    EXPECT_EQ(exif_orientation(exif(little, 0x112, 2, 6)), 1);  // text
  }
}

TEST(Exif, DamagedDataAreAsNone) {
  const std::string whole = exif(true, 0x112, 3, 6);
  for (std::size_t size = 0; size < 22; ++size) {  // up to the end of the entry
    EXPECT_EQ(exif_orientation(std::string_view(whole).substr(0, size)), 1) << size;
  }
  EXPECT_EQ(exif_orientation(std::string_view(whole).substr(0, 22)), 6);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      const int orientation = exif_orientation(bytes);
      EXPECT_TRUE(orientation >= 1 && orientation <= 8);
    }
  }
}

TEST(Upright, MovesTheCorners) {
  // 1 2 3
  // 4 5 6
  const at::Tensor image = at::tensor({1, 2, 3, 4, 5, 6}, at::kByte).view({1, 2, 3});
  const std::vector<std::vector<int>> expected = {
      {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
      {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const at::Tensor turned = upright(image, orientation);
    const std::int64_t height = orientation <= 4 ? 2 : 3;
    EXPECT_TRUE(
        at::equal(turned, at::tensor(expected[static_cast<std::size_t>(orientation - 1)], at::kByte)
                              .view({1, height, 5 - height})))
        << orientation;
  }
}

}  // namespace
}  // namespace cdm
