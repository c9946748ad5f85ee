// SPDX-License-Identifier: MIT
// What is particular to single formats of pictures: frames, checksums, palettes, sorts that are not
// read, and sizes that few bytes claim. Nothing of it is printed by the libraries.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "cdm/io/image.h"
#include "files.h"
#include "io/decode.h"

namespace cdm {
namespace {

using test::error_in;
using test::overwrite;
using test::user_error;

const std::filesystem::path kPictures = std::filesystem::path(CDM_TEST_DATA) / "data" / "pictures";

class PictureFormats : public test::FilesTest {
 protected:
  PictureFormats() { testing::internal::CaptureStderr(); }
  ~PictureFormats() override { EXPECT_EQ(testing::internal::GetCapturedStderr(), ""); }

  std::string refusal() const {
    return user_error([&] { read_image(file_, 3); });
  }
  void put(std::string& bytes, std::size_t at, std::initializer_list<int> values) const {
    for (const int value : values) bytes.at(at++) = static_cast<char>(value);
  }

  std::filesystem::path file_ = folder_ / "a";
};

TEST_F(PictureFormats, AWrongChecksumMattersWhereItCoversPixels) {
  std::string bytes = read_file(kPictures / "clear_palette.png");
  for (const char* chunk : {"PLTE", "tRNS", "IDAT", "IEND"}) {
    std::string damaged = bytes;
    const std::size_t at = damaged.find(chunk);
    ASSERT_NE(at, std::string::npos) << chunk;
    // The checksum ends before the next chunk's length; IEND's is at the end of the file.
    std::size_t length = 0;
    for (std::size_t i = at - 4; i < at; ++i) {
      length = length << 8 | static_cast<unsigned char>(damaged[i]);
    }
    damaged[at + 4 + length] = static_cast<char>(damaged[at + 4 + length] ^ 1);
    overwrite(file_, damaged);
    EXPECT_THAT(refusal(), error_in(file_, "PNG")) << chunk;
  }
}

TEST_F(PictureFormats, AGifsFrameNeedNotCoverItsScreen) {
  std::string bytes = read_file(kPictures / "palette.gif");
  const at::Tensor frame = read_image(kPictures / "palette.gif", 3);
  const std::size_t descriptor = bytes.find(std::string("\x2c\0\0\0\0\x0e\0\x0b\0", 9));
  ASSERT_NE(descriptor, std::string::npos);
  put(bytes, 6, {20, 0, 16, 0});             // a screen of 20 x 16
  put(bytes, descriptor + 1, {4, 0, 3, 0});  // the frame begins at column 4, row 3
  overwrite(file_, bytes);
  at::Tensor expected = at::full({3, 16, 20}, 255, at::kByte);
  expected.narrow(1, 3, 11).narrow(2, 4, 14).copy_(frame);
  EXPECT_TRUE(at::equal(read_image(file_, 3), expected));
  put(bytes, descriptor + 1, {10, 0, 12, 0});  // partly outside
  overwrite(file_, bytes);
  expected.fill_(255);
  expected.narrow(1, 12, 4).narrow(2, 10, 10).copy_(frame.narrow(1, 0, 4).narrow(2, 0, 10));
  EXPECT_TRUE(at::equal(read_image(file_, 3), expected));
  put(bytes, 6, {0, 0, 0, 0});  // no screen: the frame alone
  put(bytes, descriptor + 1, {0, 0, 0, 0});
  overwrite(file_, bytes);
  EXPECT_TRUE(at::equal(read_image(file_, 3), frame));
}

TEST_F(PictureFormats, ABmpsColourMustBeInItsPalette) {
  std::string bytes = read_file(kPictures / "four_bits.bmp");
  put(bytes, 46, {3, 0, 0, 0});  // three of its 16 colours
  overwrite(file_, bytes);
  EXPECT_THAT(refusal(), error_in(file_, "palette"));
}

TEST_F(PictureFormats, SortsThatAreNotReadAreNamed) {
  std::filesystem::copy_file(kPictures / "float.tif", file_);
  EXPECT_THAT(refusal(), error_in(file_, "TIFF"));
  std::string bytes = read_file(kPictures / "grey.bmp");
  put(bytes, 30, {1, 0, 0, 0});  // run lengths
  overwrite(file_, bytes);
  EXPECT_THAT(refusal(), error_in(file_, "BMP with compression 1"));
  put(bytes, 30, {0, 0, 0, 0});
  put(bytes, 28, {7, 0});
  overwrite(file_, bytes);
  EXPECT_THAT(refusal(), error_in(file_, "7 bits"));
}

TEST_F(PictureFormats, ManyPixelsAreRefusedBeforeTheyCostMemory) {
  std::string gif = read_file(kPictures / "palette.gif");
  put(gif, 6, {0xff, 0xff, 0xff, 0xff});
  std::string small_gif = gif;
  put(small_gif, 6, {0xff, 0x3f, 0xff, 0x3f});  // 16,383 a side: below 2^28
  std::string bmp = read_file(kPictures / "rgb.bmp");
  put(bmp, 18, {0, 0x20, 0, 0, 0, 0x20, 0, 0});  // 8,192 a side
  std::string negative = bmp;
  put(negative, 22, {0, 0, 0, 0x80});  // the height that has no positive counterpart
  std::string empty = bmp;
  put(empty, 18, {0, 0, 0, 0});
  std::string tiff = read_file(kPictures / "lzw.tif");
  const std::size_t width = tiff.find(std::string("\0\1\3\0\1\0\0\0\x0e", 9));
  const std::size_t height = tiff.find(std::string("\1\1\3\0\1\0\0\0\x0b", 9));
  ASSERT_NE(width, std::string::npos);
  ASSERT_NE(height, std::string::npos);
  put(tiff, width + 8, {0xff, 0x3f, 0, 0});
  put(tiff, height + 8, {0xff, 0x3f, 0, 0});
  for (const auto& [bytes, what] : {std::pair{gif, "65535 x 65535"},
                                    {small_gif, "too few bytes"},
                                    {bmp, "too few bytes"},
                                    {negative, "2^28"},
                                    {empty, "0 x 8192"},
                                    {tiff, "too few bytes"}}) {
    overwrite(file_, bytes);
    EXPECT_THAT(refusal(), error_in(file_, what));
  }
}

TEST_F(PictureFormats, SaysWhetherThereIsAColour) {
  for (const std::int64_t channels : {1, 3}) {
    for (const char* name :
         {"rgb.jpg", "rgb.png", "lossy.webp", "palette.gif", "rgb.bmp", "rgb.tif", "cmyk.jpg"}) {
      EXPECT_TRUE(read_picture(kPictures / name, channels).has_colour) << name;
    }
    for (const char* name : {"grey.jpg", "grey.png", "bits.png", "grey.bmp", "fax.tif"}) {
      EXPECT_FALSE(read_picture(kPictures / name, channels).has_colour) << name;
    }
  }
}

TEST_F(PictureFormats, OnlyOrdinaryFilesAreOpened) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_THAT(refusal(), error_in(file_, "FIFO"));  // would wait for a writer
  std::filesystem::remove(file_);
  std::filesystem::create_symlink("/dev/zero", file_);
  EXPECT_THAT(refusal(), error_in(file_, "device"));  // has no end
  std::filesystem::remove(file_);
  std::filesystem::create_symlink(folder_ / "gone.png", file_);
  EXPECT_THAT(refusal(), error_in(file_, "link to " + (folder_ / "gone.png").string()));
  std::filesystem::remove(file_);
  std::filesystem::create_symlink(file_, file_);
  EXPECT_THAT(refusal(), error_in(file_, "symbolic links"));
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  EXPECT_THAT(refusal(), error_in(file_, "folder"));
}

}  // namespace
}  // namespace cdm
