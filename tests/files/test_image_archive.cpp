// SPDX-License-Identifier: MIT
// Archives of pictures: EDM's .zip and WebDataset's .tar, made by Python (see
// tests/python/make_archive_fixtures.py) and made here.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/data/dataset.h"
#include "cdm/io/image.h"
#include "dataset_test.h"
#include "files.h"
#include "io/zip.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::DatasetTest;
using test::error_in;
using test::mentions;
using test::overwrite;
using testing::ElementsAre;

const fs::path kMade = fs::path(CDM_TEST_DATA) / "data" / "archives";

using Members = std::vector<std::pair<std::string, std::string>>;

/// A tar archive (ustar) of plain files, type 0, or of hard links (1) or symbolic links (2) to the
/// names that are their contents.
std::string tar(const Members& members, char type = '0') {
  std::string out;
  for (const auto& [name, text] : members) {
    const std::string contents = type == '0' ? text : "";
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    char numbers[64] = {};
    std::snprintf(numbers, sizeof numbers, "0000644%c0000000%c0000000%c%011zo", 0, 0, 0,
                  contents.size());
    header.replace(100, 35, std::string(numbers, 35));
    header.replace(136, 11, "00000000000");
    header.replace(148, 9, std::string(8, ' ') + type);
    if (type != '0') header.replace(157, text.size(), text);
    header.replace(257, 8, std::string("ustar\00000", 8));
    unsigned sum = 0;
    for (const char byte : header) sum += static_cast<unsigned char>(byte);
    std::snprintf(numbers, sizeof numbers, "%06o", sum);
    header.replace(148, 8, std::string(numbers, 6) + '\0' + ' ');
    out += header + contents + std::string((512 - contents.size() % 512) % 512, '\0');
  }
  return out + std::string(1024, '\0');
}

class ImageArchive : public DatasetTest {
 protected:
  ImageArchive() { use(DataKind::image_archive, zip_); }

  void write_zip(const Members& members) const {
    ZipWriter zip(zip_);
    for (const auto& [name, contents] : members) zip.write(name, contents);
    zip.close();
  }
  /// A picture of one grey, as the bytes of a PNG.
  std::string png(int grey, std::int64_t height = 4, std::int64_t width = 4) const {
    const fs::path file = folder_ / "one.png";
    write_png(file, at::tensor({grey}, at::kByte).view({1, 1, 1}).expand({1, height, width}));
    std::string bytes = read_file(file);
    fs::remove(file);
    return bytes;
  }
  std::vector<int> reds() const {
    const Dataset dataset = load();
    std::vector<int> found;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      found.push_back(dataset.images[i][0][0][0].item<int>());
    }
    return found;
  }

  fs::path zip_ = folder_ / "a.zip", tar_ = folder_ / "a.tar";
};

TEST_F(ImageArchive, ReadsWhatEdmAndWebDatasetMake) {
  for (const fs::path& path : {kMade / "edm.zip", kMade / "edm_deflated.zip", kMade / "all.tar.gz",
                               kMade / "shard-{00..01}.tar"}) {
    SCOPED_TRACE(path.string());
    use(DataKind::image_archive, path);
    EXPECT_THAT(reds(), ElementsAre(0, 10, 20, 30, 40));
    const Dataset dataset = load();
    EXPECT_EQ(dataset.images.sizes(), at::IntArrayRef({5, 3, 4, 4}));
    EXPECT_EQ(dataset.images[4][2][3][3].item<int>(), 30);
    EXPECT_TRUE(dataset.images.is_contiguous());
    EXPECT_TRUE(at::equal(dataset.labels, at::arange(7, 2, -1, at::kLong)));
    EXPECT_EQ(detect_dataset(path).kind, DataKind::image_archive);
  }
  use(DataKind::image_archive, kMade / "edm_unlabelled.zip");
  EXPECT_FALSE(load().labels.defined());
}

// An archive goes by the same names as a folder: a picture that is not read is an error.
TEST_F(ImageArchive, PassesOverNoPicture) {
  write_zip({{"a.jfif", png(1)}, {"b.PNG", png(2)}, {"c.txt", "a caption"}});
  EXPECT_THAT(reds(), ElementsAre(1, 2));
  write_zip({{"a.png", png(1)}, {"b.heic", "a picture in a format that is not read"}});
  EXPECT_THAT(refusal(), error_in(zip_, "'b.heic'"));
  config_.skip_unreadable = 1;
  EXPECT_THAT(reds(), ElementsAre(1));
}

TEST_F(ImageArchive, ReadsAFolderOfShardsInTheOrderOfNames) {
  for (const char* name : {"shard-01.tar", "shard-00.tar"}) {
    overwrite(folder_ / "shards" / name, read_file(kMade / name));
  }
  overwrite(folder_ / "shards" / "README.md", "not read");
  use(DataKind::image_archive, folder_ / "shards");
  EXPECT_THAT(reds(), ElementsAre(0, 10, 20, 30, 40));
  fs::remove(folder_ / "shards" / "shard-00.tar");
  EXPECT_THAT(reds(), ElementsAre(30, 40));
  use(DataKind::image_archive, folder_ / "shards" / "shard-{00..01}.tar");
  EXPECT_THAT(refusal(), error_in(folder_ / "shards" / "shard-00.tar", "not found"));
  use(DataKind::image_archive, folder_ / "shards" / "shard-{1..0}.tar");
  EXPECT_THAT(refusal(), error_in(config_.path, "range"));
  fs::remove(folder_ / "shards" / "shard-01.tar");
  use(DataKind::image_archive, folder_ / "shards");
  EXPECT_THAT(refusal(), error_in(folder_ / "shards", "no archives", ".zip", ".tar"));
}

TEST_F(ImageArchive, TreatsPicturesAsAnImageFolderDoes) {
  const fs::path pictures = folder_ / "pictures";
  fs::create_directories(pictures);
  Members members;
  int red = 0;
  for (const auto& [height, width] : {std::pair(9, 12), std::pair(6, 6), std::pair(20, 7)}) {
    const std::string name = concat(red, ".png");
    const at::Tensor row = at::arange(width, at::kByte).mul(5).view({1, 1, width});
    write_png(pictures / name, at::tensor({40 + red++, 90, 7}, at::kByte).view({3, 1, 1}) +
                                   row.expand({3, height, width}));
    members.emplace_back(name, read_file(pictures / name));
  }
  write_zip(members);
  for (const std::int64_t channels : {0, 1, 3}) {
    DataConfig in_folder;
    in_folder.kind = DataKind::image_folder;
    in_folder.path = in_folder.test_path = pictures.string();  // nothing is held out
    in_folder.image_size = config_.image_size = 6;
    in_folder.channels = config_.channels = channels;
    EXPECT_TRUE(at::equal(load().images, load_dataset(in_folder, Split::train).images));
  }
  config_.image_size = 0;
  EXPECT_THAT(refusal(), error_in(zip_, "'0.png'", "9 x 12", "no square", "data.image_size"));
  write_zip({{"a.png", png(1)}, {"b.png", png(2)}});
  config_.channels = 0;
  EXPECT_EQ(load().channels(), 1);  // no colour in any picture
}

TEST_F(ImageArchive, NeedsAPathForTheTestSplit) {
  write_zip({{"a.png", png(1)}});
  EXPECT_THAT(refusal(Split::test), mentions("data.test_path", "image_archive"));
  config_.test_path = zip_.string();
  EXPECT_EQ(load(Split::test).size(), 1);
}

TEST_F(ImageArchive, WritesNothingWhateverTheNamesAre) {
  for (const char* name : {"odd.zip", "odd.tar"}) {
    const fs::path file = folder_ / "deep" / "er" / name;
    overwrite(file, read_file(kMade / name));
    use(DataKind::image_archive, file);
    EXPECT_THAT(reds(), testing::UnorderedElementsAre(0, 10, 20)) << name;
    fs::remove(file);
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
}

TEST_F(ImageArchive, NamesWrongLabels) {
  const std::string picture = png(1);
  const auto with = [&](const std::string& list) {
    write_zip({{"a.png", picture}, {"b.png", picture}, {"dataset.json", list}});
    return refusal();
  };
  EXPECT_EQ(with(R"({"labels": [["a.png", 1], ["b.png", 0]], "more": 1})"), "no UserError");
  EXPECT_THAT(with("{"), error_in(zip_, "'dataset.json'", "JSON"));
  EXPECT_THAT(with("[]"), error_in(zip_, "'dataset.json'", "JSON object"));
  EXPECT_THAT(with(R"({"labels": {"a.png": 1}})"), error_in(zip_, "no list"));
  EXPECT_THAT(with(R"({"labels": [["a.png", 1, 2]]})"), error_in(zip_, "label 0", "pair"));
  EXPECT_THAT(with(R"({"labels": [["a.png", 1]]})"),
              error_in(zip_, "'b.png'", "no label", "1 of 2"));
  EXPECT_THAT(with(R"({"labels": [["a.png", 1], ["a.png", 1]]})"), error_in(zip_, "'a.png' twice"));
  EXPECT_THAT(with(R"({"labels": [["c.png", 1]]})"), error_in(zip_, "'c.png'", "not there"));
  for (const char* wrong : {"-1", "1.0", "[0, 1]", "\"1\"", "true", "2147483648", "1e3"}) {
    EXPECT_THAT(with(concat(R"({"labels": [["a.png", )", wrong, "]]}")),
                error_in(zip_, "'dataset.json'", "'a.png'", "whole number"))
        << wrong;
  }

  use(DataKind::image_archive, tar_);
  const auto of_class = [&](const Members& more) {
    Members members = {{"x/a.png", picture}, {"x/b.png", picture}};
    members.insert(members.end(), more.begin(), more.end());
    overwrite(tar_, tar(members));
    return refusal();
  };
  EXPECT_EQ(of_class({}), "no UserError");
  EXPECT_EQ(of_class({{"x/a.cls", "0"}, {"x/b.cls", "12\n"}}), "no UserError");
  EXPECT_THAT(of_class({{"x/a.cls", "0"}}), error_in(tar_, "'x/b.png'", "no label", "1 of 2"));
  EXPECT_THAT(of_class({{"x/a.cls", "0"}, {"x/b.cls", "1"}, {"a.cls", "1"}}),
              error_in(tar_, "'a.cls'", "no picture"));
  EXPECT_THAT(of_class({{"x/a.cls", "0"}, {"x/b.cls", "1"}, {"x/a.mask.png", picture}}),
              error_in(tar_, "two pictures", "'x/a.mask.png'", "'x/a.png'"));
  EXPECT_THAT(of_class({{"x/a.cls", "0"}, {"x/a.CLS", "1"}}), error_in(tar_, "twice"));
  EXPECT_THAT(of_class({{"x/a.png", picture}}), error_in(tar_, "'x/a.png'", "twice"));
  EXPECT_THAT(of_class({{"x/a.cls", "0"}, {"x/dataset.json", R"({"labels": [["a.png", 1]]})"}}),
              error_in(tar_, "both", "dataset.json", ".cls"));
  for (const char* wrong : {"", "-1", "1 2", "cat", "2147483648"}) {
    EXPECT_THAT(of_class({{"x/a.cls", wrong}}), error_in(tar_, "'x/a.cls'", "whole number"))
        << wrong;
  }
}

TEST_F(ImageArchive, NamesAPictureThatIsWrong) {
  write_zip({{"a.png", png(1)}, {"b.png", "no picture"}, {"c.png", png(2).substr(0, 50)}});
  EXPECT_THAT(refusal(), error_in(zip_, "'b.png'", "PNG"));
  write_zip({{"a.png", png(1)}, {"c.png", png(2).substr(0, 50)}});
  EXPECT_THAT(refusal(), error_in(zip_, "'c.png'", "PNG"));
  write_zip({{"a.png", png(1, 4, 300)}});
  config_.image_size = 4;
  EXPECT_THAT(refusal(), error_in(zip_, "'a.png'", "4 x 300", "narrow"));
  write_zip({{"README", ""}});
  EXPECT_THAT(refusal(), error_in(zip_, "no pictures"));
  overwrite(zip_, "");
  EXPECT_THAT(refusal(), error_in(zip_, "zip"));
  overwrite(zip_, "no archive at all");
  EXPECT_THAT(refusal(), error_in(zip_, "zip", "tar"));
}

TEST_F(ImageArchive, FollowsNoLinks) {
  use(DataKind::image_archive, tar_);
  for (const char type : {'1', '2'}) {
    const std::string plain = tar({{"a.png", png(1)}});
    const std::string link = tar({{"b.png", "a.png"}}, type);
    overwrite(tar_, link.substr(0, 512) + plain);
    EXPECT_THAT(refusal(), error_in(tar_, "'b.png'", "link")) << type;
    overwrite(tar_, tar({{"README", "a.png"}}, type).substr(0, 512) + plain);
    EXPECT_THAT(reds(), ElementsAre(1)) << type;
  }
}

TEST_F(ImageArchive, RefusesFilesThatGrowTooLarge) {
  // A list of a hundred kilobytes for one picture, and a class of many.
  write_zip({{"a.png", png(1)}, {"dataset.json", std::string(100000, ' ')}});
  EXPECT_THAT(refusal(), error_in(zip_, "'dataset.json'", "too large", "1 pictures"));
  write_zip({{"a.png", png(1)}, {"a.cls", std::string(65, '1')}});
  EXPECT_THAT(refusal(), error_in(zip_, "'a.cls'", "larger than", "64 B"));
}

class DamagedArchive : public ImageArchive, public testing::WithParamInterface<const char*> {
 protected:
  DamagedArchive() { use(DataKind::image_archive, file_); }

  std::string whole_ = read_file(kMade / GetParam());
  fs::path file_ = folder_ / GetParam();
};

TEST_P(DamagedArchive, IsRefusedWhereverItIsCut) {
  // What follows the last file of a tar archive are zeros alone.
  std::size_t end = whole_.size();
  if (fs::path(GetParam()).extension() == ".tar") end = whole_.find_last_not_of('\0');
  for (std::size_t size = 0; size < end; size += 37) {
    overwrite(file_, whole_.substr(0, size));
    ASSERT_THAT(refusal(), error_in(file_)) << size << " of " << end;
  }
}

TEST_P(DamagedArchive, IsRefusedOrReadWhicheverByteIsChanged) {
  overwrite(file_, whole_);
  const at::Tensor images = load().images;
  int refused = 0;
  for (std::size_t i = 0; i < whole_.size(); i += 23) {
    for (const int mask : {0x01, 0xff}) {
      std::string bytes = whole_;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      overwrite(file_, bytes);
      at::Tensor read;
      const std::string message = test::user_error([&] { read = load().images; });
      if (message != "no UserError") {
        ++refused;
      } else {
        EXPECT_TRUE(at::equal(read, images)) << "byte " << i;
      }
    }
  }
  EXPECT_GT(refused, 20);
}

INSTANTIATE_TEST_SUITE_P(ImageArchive, DamagedArchive,
                         testing::Values("edm.zip", "edm_deflated.zip", "shard-00.tar",
                                         "all.tar.gz"));

}  // namespace
}  // namespace cdm
