// SPDX-License-Identifier: MIT
// Pictures: what Pillow reads (tests/python/make_picture_fixtures.py), round trips, resizing and
// cropping, grids, and damaged files.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "cdm/io/image.h"
#include "cdm/io/npz.h"
#include "files.h"

namespace cdm {
namespace {

using test::error_in;
using test::overwrite;
using test::user_error;

const std::filesystem::path kPictures = std::filesystem::path(CDM_TEST_DATA) / "data" / "pictures";

at::Tensor expected(const std::string& name) { return read_npz(kPictures / "expected.npz", name); }

int largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  if (a.sizes() != b.sizes()) return 255;
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int>();
}

/// Different numbers everywhere.
at::Tensor picture(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return at::arange(channels * height * width, at::kLong)
      .mul(37)
      .remainder(256)
      .to(at::kByte)
      .view({channels, height, width});
}

struct Kind {
  const char* file;
  int tolerance;  // of RGB
};

class PillowsPicture : public testing::TestWithParam<Kind> {};

TEST_P(PillowsPicture, ReadsAsPillowReadsIt) {
  const std::string name = GetParam().file;
  const at::Tensor rgb = read_image(kPictures / name, 3);
  EXPECT_EQ(rgb.scalar_type(), at::kByte);
  EXPECT_TRUE(rgb.is_contiguous());
  EXPECT_LE(largest_difference(rgb, expected(name)), GetParam().tolerance);
  // Pillow's grey is rounded once more, from the rounded RGB; a JPEG's is its own luma channel.
  EXPECT_LE(largest_difference(read_image(kPictures / name, 1), expected("grey of " + name)),
            GetParam().tolerance + 1);
}

INSTANTIATE_TEST_SUITE_P(
    Image, PillowsPicture,
    testing::Values(Kind{"rgb.png", 0}, Kind{"gamma.png", 0}, Kind{"interlaced.png", 0},
                    Kind{"grey.png", 0}, Kind{"bits.png", 0}, Kind{"grey16.png", 0},
                    Kind{"palette.png", 0}, Kind{"clear_palette.png", 0}, Kind{"rgba.png", 0},
                    Kind{"grey_alpha.png", 0}, Kind{"bad_text.png", 0}, Kind{"rgb.jpg", 1},
                    Kind{"grey.jpg", 0}, Kind{"progressive.jpg", 1}, Kind{"cmyk.jpg", 1},
                    Kind{"ycck.jpg", 1}, Kind{"plain_cmyk.jpg", 1}, Kind{"lossless.webp", 0},
                    Kind{"lossy.webp", 0}, Kind{"rgba.webp", 0}, Kind{"animated.webp", 0},
                    Kind{"palette.gif", 0}, Kind{"interlaced.gif", 0}, Kind{"clear.gif", 0},
                    Kind{"animated.gif", 0}, Kind{"rgb.bmp", 0}, Kind{"grey.bmp", 0},
                    Kind{"bits.bmp", 0}, Kind{"palette.bmp", 0}, Kind{"four_bits.bmp", 0},
                    Kind{"rgb555.bmp", 1}, Kind{"rgb565.bmp", 1}, Kind{"top_down.bmp", 0},
                    Kind{"rgb.tif", 0}, Kind{"lzw.tif", 0}, Kind{"fax.tif", 0},
                    Kind{"grey16.tif", 1}, Kind{"palette.tif", 0}, Kind{"rgba.tif", 1},
                    Kind{"cmyk.tif", 1}),
    [](const auto& info) {
      std::string name = info.param.file;
      name.replace(name.find('.'), 1, "_");
      return name;
    });

class ImageFiles : public test::FilesTest {
 protected:
  std::filesystem::path file_ = folder_ / "a.png";
};

TEST_F(ImageFiles, PngComesBackAsItWas) {
  for (const std::int64_t channels : {1, 3}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 9}, {7, 1}, {30, 41}}) {
      const at::Tensor image = picture(channels, height, width);
      write_png(file_, image);
      EXPECT_TRUE(at::equal(read_image(file_, channels), image)) << image.sizes();
    }
  }
  // Grey as RGB and back.
  write_png(file_, picture(1, 5, 6));
  EXPECT_TRUE(at::equal(read_image(file_, 3), picture(1, 5, 6).expand({3, 5, 6})));
  write_png(file_, picture(1, 5, 6).expand({3, 5, 6}));
  EXPECT_TRUE(at::equal(read_image(file_, 1), picture(1, 5, 6)));
}

TEST_F(ImageFiles, GreyIsLuma) {
  // Red, green, blue, white.
  const at::Tensor colours =
      at::tensor({255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255}, at::kByte).view({3, 1, 4});
  write_png(file_, colours);
  EXPECT_TRUE(
      at::equal(read_image(file_, 1), at::tensor({76, 150, 29, 255}, at::kByte).view({1, 1, 4})));
}

TEST_F(ImageFiles, TheBytesTellTheFormatNotTheName) {
  std::filesystem::copy_file(kPictures / "rgb.jpg", folder_ / "b.png");
  EXPECT_TRUE(at::equal(read_image(folder_ / "b.png", 3), read_image(kPictures / "rgb.jpg", 3)));
  for (const char* bytes : {"what", "RIFF", "RIFFxxxxWAVE", ""}) {
    overwrite(file_, bytes);
    EXPECT_THAT(user_error([&] { read_image(file_, 3); }), error_in(file_, "PNG", "JPEG", "TIFF"));
  }
  for (const auto& [bytes, what] :
       {std::pair{"version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
        {"<!DOCTYPE html>", "HTML page"},
        {"....ftypheic", "HEIC"},
        {"....ftypavif", "AVIF"}}) {
    overwrite(file_, bytes);
    EXPECT_THAT(user_error([&] { read_image(file_, 3); }), error_in(file_, what));
  }
  EXPECT_THAT(user_error([&] { read_image(folder_ / "none.png", 3); }),
              error_in(folder_ / "none.png", "No such file"));
}

/// Where a file may be cut without loss, at the earliest.
std::size_t end_of_pixels(const std::string& bytes) {
  if (bytes.starts_with("BM")) return bytes.size() - 4;
  return bytes.starts_with("II") ? bytes.size() / 2 : bytes.size();
}

class DamagedPicture : public ImageFiles, public testing::WithParamInterface<const char*> {};

TEST_P(DamagedPicture, IsRefusedWhereverItIsCut) {
  const std::string whole = read_file(kPictures / GetParam());
  const at::Tensor image = read_image(kPictures / GetParam(), 3);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    overwrite(file_, std::string_view(whole).substr(0, size));
    at::Tensor cut;
    const std::string message = user_error([&] { cut = read_image(file_, 3); });
    // The last bytes may be no pixels: what fills a BMP's last row, or a TIFF's remarks.
    if (message == "no UserError" && size > end_of_pixels(whole) && at::equal(cut, image)) continue;
    ASSERT_THAT(message, error_in(file_)) << size << " of " << whole.size();
  }
}

TEST_P(DamagedPicture, IsReadOrRefusedWhicheverByteIsChanged) {
  const std::string whole = read_file(kPictures / GetParam());
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      overwrite(file_, bytes);
      const std::string message = user_error([&] { read_image(file_, 3); });
      if (message == "no UserError") continue;
      ASSERT_THAT(message, error_in(file_));
      ++refused;
    }
  }
  // A PNG has checksums everywhere; a JPEG has none.
  EXPECT_GE(refused, std::string(GetParam()).ends_with("png") ? 3 * whole.size() : 1);
}

INSTANTIATE_TEST_SUITE_P(Image, DamagedPicture,
                         testing::Values("rgb.png", "clear_palette.png", "rgb.jpg", "grey.jpg",
                                         "progressive.jpg", "cmyk.jpg", "lossless.webp",
                                         "lossy.webp", "palette.gif", "interlaced.gif", "grey.bmp",
                                         "rgb565.bmp", "lzw.tif", "rgba.tif"));

TEST_F(ImageFiles, AClaimOfManyPixelsCostsNothing) {
  // Width and height of a JPEG have no checksum.
  std::string bytes = read_file(kPictures / "rgb.jpg");
  const std::size_t frame = bytes.find(std::string("\xff\xc0\x00\x11\x08", 5));
  ASSERT_NE(frame, std::string::npos);
  for (std::size_t i = 5; i < 9; ++i) bytes[frame + i] = '\x7f';
  overwrite(file_, bytes);
  EXPECT_THAT(user_error([&] { read_image(file_, 3); }), error_in(file_, "32639 x 32639"));
  for (std::size_t i = 5; i < 9; ++i) bytes[frame + i] = '\x20';
  overwrite(file_, bytes);
  EXPECT_THAT(user_error([&] { read_image(file_, 3); }),
              error_in(file_, "too few bytes", "8224 x 8224"));

  // Those of a PNG have one.
  bytes = read_file(kPictures / "rgb.png");
  for (const std::size_t i : {18, 22}) bytes[i] = '\x0f';  // 3,840 and more
  const auto* const chunk = reinterpret_cast<const Bytef*>(bytes.data() + 12);
  const std::uint32_t crc = static_cast<std::uint32_t>(::crc32_z(0, chunk, 17));
  for (std::size_t i = 0; i < 4; ++i) bytes[29 + i] = static_cast<char>(crc >> (24 - 8 * i));
  overwrite(file_, bytes);
  EXPECT_THAT(user_error([&] { read_image(file_, 3); }), error_in(file_, "too few bytes"));
}

TEST_F(ImageFiles, RefusesToWriteWhatIsNoPicture) {
  EXPECT_THROW(write_png(file_, picture(2, 3, 3)), c10::Error);
  EXPECT_THROW(write_png(file_, at::zeros({3, 3}, at::kByte)), c10::Error);
  EXPECT_THROW(write_png(file_, at::zeros({3, 3, 3})), c10::Error);
  EXPECT_THROW(write_png(folder_ / "none" / "a.png", picture(1, 2, 2)), std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST(Resize, AnImageOfThatSizeIsUnchanged) {
  EXPECT_TRUE(at::equal(resize_and_center_crop(picture(3, 8, 8), 8), picture(3, 8, 8)));
}

TEST(Resize, CutsTheMiddleOfTheLongerSide) {
  const at::Tensor wide = picture(3, 4, 9);
  EXPECT_TRUE(at::equal(resize_and_center_crop(wide, 4), wide.slice(2, 2, 6)));
  const at::Tensor high = picture(1, 8, 4);
  EXPECT_TRUE(at::equal(resize_and_center_crop(high, 4), high.slice(1, 2, 6)));
}

TEST(Resize, KeepsWhatIsEven) {
  for (const std::int64_t size : {1, 3, 7, 40}) {
    EXPECT_TRUE(at::equal(resize_and_center_crop(at::full({3, 9, 13}, 77, at::kByte), size),
                          at::full({3, size, size}, 77, at::kByte)));
  }
}

TEST(Resize, AveragesARampWhenItShrinks) {
  // 0, 10, ..., 230 over 24 columns, halved: columns 2 i and 2 i + 1 average to 20 i + 5, away from
  // the border. Of these 12, the 3 from the fourth on are the middle.
  const at::Tensor ramp = at::arange(24, at::kByte).mul(10).expand({1, 6, 24});
  const at::Tensor middle = at::tensor({85, 105, 125}, at::kByte);
  EXPECT_TRUE(at::equal(resize_and_center_crop(ramp, 3), middle.expand({1, 3, 3})));
}

TEST(Resize, AgreesWithPillow) {
  const at::Tensor image = read_image(kPictures / "rgb.png", 3);
  for (const std::int64_t size : {5, 16}) {  // Pillow rounds between the two directions
    EXPECT_LE(largest_difference(resize_and_center_crop(image, size),
                                 expected(std::to_string(size) + " of rgb.png")),
              1)
        << size;
  }
}

TEST(Grid, LaysImagesOutRowByRow) {
  const at::Tensor images = picture(5 * 3, 4, 6).view({5, 3, 4, 6});
  const at::Tensor grid = make_grid(images, 2);
  EXPECT_EQ(grid.sizes(), at::IntArrayRef({3, 3 * (4 + 2) + 2, 2 * (6 + 2) + 2}));
  at::Tensor ground = grid.clone();
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto place = [&](const at::Tensor& whole) {
      return whole.narrow(1, 2 + i / 2 * 6, 4).narrow(2, 2 + i % 2 * 8, 6);
    };
    EXPECT_TRUE(at::equal(place(grid), images[i])) << i;
    place(ground).fill_(128);
  }
  EXPECT_TRUE(at::equal(ground, at::full_like(ground, 128)));
}

TEST(Grid, EnlargesEachPixelToASquare) {
  const at::Tensor images = at::tensor({10, 20, 30, 40}, at::kByte).view({1, 1, 2, 2});
  const at::Tensor grid = make_grid(images, 1, 3);
  EXPECT_EQ(grid.sizes(), at::IntArrayRef({1, 6 + 4, 6 + 4}));
  for (std::int64_t y = 0; y < 6; ++y) {
    for (std::int64_t x = 0; x < 6; ++x) {
      EXPECT_EQ(grid[0][y + 2][x + 2].item<int>(), images[0][0][y / 3][x / 3].item<int>());
    }
  }
}

}  // namespace
}  // namespace cdm
