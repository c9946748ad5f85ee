// SPDX-License-Identifier: MIT
// What lies in folders of pictures as people have them: litter, captions, numbered names, links
// that lead nowhere, pipes, and folders that may not be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "data/natural_order.h"
#include "files.h"
#include "image_folder_test.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::error_in;
using test::mentions;
using test::overwrite;
using testing::ElementsAre;
using testing::HasSubstr;

class FolderContents : public test::WholeFolderTest {};

TEST_F(FolderContents, LitterAndCaptionsArePassedOverInOneLine) {
  paint("a.png", 1, 1, 1);
  for (const char* name : {"Thumbs.db", "desktop.ini", "a.txt", "a.json", "a.caption", "all.csv"}) {
    overwrite(folder_ / name, "no picture");
  }
  overwrite(folder_ / "@eaDir" / "a.png", "no picture");
  overwrite(folder_ / "__MACOSX" / "._a.png", "no picture");
  overwrite(folder_ / ".DS_Store", "no picture");
  overwrite(folder_ / "._a.png", "no picture");
  const std::string log = log_of();
  EXPECT_THAT(log, mentions(folder_.string() + ": passed over 10 files and folders that are no "
                                               "pictures: ",
                            "@eaDir/", ".DS_Store", "and 5 more\n"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
  EXPECT_THAT(reds(), ElementsAre(1));
  EXPECT_FALSE(load().labels.defined());
}

TEST_F(FolderContents, LitterIsPassedOverInClassFoldersAlike) {
  paint("cat/1.png", 1, 1, 1);
  paint("dog/1.png", 2, 2, 2);
  paint("@eaDir/1.png", 9, 9, 9);
  paint("lost+found/1.png", 9, 9, 9);
  paint("dog/@eaDir/1.png", 9, 9, 9);
  overwrite(folder_ / "dog" / "1.txt", "a caption");
  overwrite(folder_ / "labels.csv", "1,2");
  EXPECT_THAT(log_of(), mentions("passed over 5 files", "dog/@eaDir/", "dog/1.txt", "labels.csv"));
  EXPECT_THAT(reds(), ElementsAre(1, 2));
  EXPECT_THAT(load().class_names, ElementsAre("cat", "dog"));
}

TEST_F(FolderContents, WhatLiesBesideTheSplitsIsNamed) {
  paint("train/1.png", 1, 1, 1);
  paint("test/1.png", 2, 2, 2);
  paint("val/1.png", 3, 3, 3);
  EXPECT_EQ(log_of(), "");
  paint("bus/1.png", 4, 4, 4);
  paint("loose.png", 4, 4, 4);
  EXPECT_THAT(log_of(), mentions(folder_.string() + ": passed over", "bus/", "loose.png"));
}

TEST_F(FolderContents, APicturesNameWithOtherBytesIsNoLitter) {
  paint("a.png", 1, 1, 1);
  for (const char* name : {"b.jpg", "b.TIFF", "b.heic", "b.webp"}) {
    overwrite(folder_ / name, "no picture");
    EXPECT_THAT(refusal(), error_in(folder_ / name, "neither")) << name;
    fs::remove(folder_ / name);
  }
}

TEST_F(FolderContents, PipesDevicesAndDeadLinksAreNotWaitedFor) {
  paint("a.png", 1, 1, 1);
  ASSERT_EQ(::mkfifo((folder_ / "b.png").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", folder_ / "c.png");
  fs::create_symlink("/nowhere/d.png", folder_ / "d.png");
  fs::create_symlink("e.png", folder_ / "e.png");
  EXPECT_THAT(refusal(), error_in(folder_, "4 of 5 pictures cannot be read", "b.png (is a FIFO",
                                  "c.png (is a device)", "d.png (is a link to /nowhere/d.png",
                                  "e.png (cannot be read: Too many levels"));
  config_.skip_unreadable = 4;
  EXPECT_THAT(reds(), ElementsAre(1));
  // Without a picture's name they are never opened.
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  fs::create_symlink("/nowhere", folder_ / "gone.txt");
  EXPECT_THAT(log_of(), HasSubstr("passed over 2 files that are no pictures: gone.txt, pipe\n"));
}

TEST_F(FolderContents, AClassFolderThatIsADeadLinkIsNotDropped) {
  paint("cat/1.png", 1, 1, 1);
  paint("dog/1.png", 2, 2, 2);
  fs::create_directory_symlink(folder_ / "dog", folder_ / "hound");
  EXPECT_THAT(load().class_names, ElementsAre("cat", "dog", "hound"));
  for (const char* target : {"/nowhere/bear", "bear"}) {  // the second is a link to itself
    fs::create_directory_symlink(target, folder_ / "bear");
    EXPECT_THAT(refusal(), error_in(folder_ / "bear"));
    fs::remove(folder_ / "bear");
  }
  fs::create_directory_symlink("/nowhere", folder_ / "cat" / "bear");
  EXPECT_THAT(refusal(), error_in(folder_ / "cat/bear", "/nowhere"));
}

TEST_F(FolderContents, ASplitThatIsADeadLinkIsNotTakenForNone) {
  paint("cat/1.png", 1, 1, 1);
  fs::create_directory_symlink("/nowhere", folder_ / "train");
  EXPECT_THAT(refusal(), error_in(folder_ / "train", "/nowhere"));
}

/// Nobody's rights, as root may read everything.
class AsNobody {
 public:
  AsNobody() : user_(::geteuid()) {
    if (user_ == 0 && ::seteuid(65534) != 0) ADD_FAILURE() << "cannot give up root's rights";
  }
  ~AsNobody() { EXPECT_EQ(::seteuid(user_), 0); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  uid_t user_;
};

TEST_F(FolderContents, WhatMayNotBeReadIsNamed) {
  paint("cat/1.png", 1, 1, 1);
  paint("dog/1.png", 2, 2, 2);
  fs::permissions(folder_, fs::perms::all);  // whatever the umask
  const auto refused = [&](const char* name) {
    fs::permissions(folder_ / name, fs::perms::none);
    const std::string message = [&] {
      const AsNobody nobody;
      return refusal();
    }();
    fs::permissions(folder_ / name, fs::perms::owner_all | fs::perms::group_read);
    return message;
  };
  EXPECT_THAT(refused("dog"), error_in(folder_ / "dog", "Permission denied"));
  fs::permissions(folder_ / "dog", fs::perms::all);
  EXPECT_THAT(refused("dog/1.png"), error_in(folder_ / "dog/1.png", "Permission denied"));
  fs::permissions(folder_ / "dog/1.png", fs::perms::all);
  EXPECT_THAT(refused("."), HasSubstr("Permission denied"));
}

TEST_F(FolderContents, NumberedPicturesAreInTheOrderOfTheirNumbers) {
  for (const int i : {1, 2, 10, 9, 100}) paint(concat("a", i, ".png"), i, 0, 0);
  EXPECT_THAT(reds(), ElementsAre(1, 2, 9, 10, 100));
}

TEST_F(FolderContents, ClassFoldersAreInByteOrder) {
  for (const char* name : {"2", "10", "Zebra", "ant"}) paint(fs::path(name) / "1.png", 1, 2, 3);
  EXPECT_THAT(load().class_names, ElementsAre("10", "2", "Zebra", "ant"));
}

TEST_F(FolderContents, AnErrorIsOneLineWhateverTheNames) {
  overwrite(folder_ / "a\nb.png", "no picture");
  overwrite(folder_ / "c\td.png", "no picture");
  EXPECT_THAT(refusal(), mentions("a?b.png", "c?d.png"));  // user_error() expects one line
}

TEST(NaturalOrder, IsThatOfNumbers) {
  const std::vector<std::string> sorted = {"",
                                           "0",
                                           "00",
                                           "01",
                                           "1",
                                           "1a",
                                           "1b",
                                           "2",
                                           "10",
                                           "99999999999999999998",
                                           "99999999999999999999",
                                           "100000000000000000000",
                                           "A1",
                                           "a",
                                           "a1b2",
                                           "a1b10",
                                           "a02",
                                           "a2",
                                           "a2.png",
                                           "a10",
                                           "b",
                                           "\xc3\xa9"};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    for (std::size_t j = 0; j < sorted.size(); ++j) {
      EXPECT_EQ(natural_less(sorted[i], sorted[j]), i < j) << sorted[i] << " " << sorted[j];
    }
  }
}

}  // namespace
}  // namespace cdm
