// SPDX-License-Identifier: MIT
// The library's source is divided into rooms (folders) that are ordered: a file includes headers of
// its own room and of rooms before it in the list below, never of a later one.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

// docs/design.md explains each of them.
const std::vector<std::string> kRooms = {
    "core",      "config",      "device", "io",    "data", "ops", "model",  "diffusion",
    "inference", "distributed", "sample", "train", "eval", "run", "weights"};

std::optional<std::size_t> room_number(const std::string& name) {
  const auto found = std::find(kRooms.begin(), kRooms.end(), name);
  if (found == kRooms.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kRooms.begin());
}

/// What is wrong with the includes of a file of `room`, one sentence each.
std::vector<std::string> wrong_includes(const std::string& room, const std::string& text) {
  static const std::regex include("#include \"(cdm/)?([^/\"]+)(/?)[^\"]*\"");
  std::vector<std::string> wrong;
  const auto own = room_number(room);
  if (!own) return {room + " is not one of the rooms"};
  for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it) {
    const std::string whole = (*it)[0];
    if (whole == "#include \"revision.h\"") continue;  // made by the build
    const auto other = (*it)[3].length() > 0 ? room_number((*it)[2]) : std::nullopt;
    if (!other) {
      wrong.push_back(whole + " does not name a room");
    } else if (*other > *own) {
      wrong.push_back(whole + " is of a later room than " + room);
    }
  }
  return wrong;
}

TEST(Rooms, IncludesPointToTheirOwnRoomOrAnEarlierOne) {
  int files = 0;
  for (const fs::path& root :
       {fs::path(CDM_TEST_DATA) / "../include/cdm", fs::path(CDM_TEST_DATA) / "../src"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      const fs::path relative = fs::relative(entry.path(), root);
      if (relative.string().find("gloo_types") != std::string::npos) continue;  // not our headers
      std::ifstream in(entry.path());
      const std::string text((std::istreambuf_iterator<char>(in)), {});
      for (const std::string& wrong : wrong_includes(relative.begin()->string(), text)) {
        ADD_FAILURE() << relative.string() << ": " << wrong;
      }
      ++files;
    }
  }
  EXPECT_GT(files, 150);
}

TEST(Rooms, ADownwardOrUnknownIncludeIsFound) {
  EXPECT_EQ(wrong_includes("data", "#include \"cdm/io/npy.h\"\n#include \"core/x.h\"\n").size(), 0);
  EXPECT_EQ(wrong_includes("io", "#include \"cdm/data/dataset.h\"\n").size(), 1);
  EXPECT_EQ(wrong_includes("io", "#include \"data/sources.h\"\n").size(), 1);
  EXPECT_EQ(wrong_includes("io", "#include \"zip.h\"\n").size(), 1);
  EXPECT_EQ(wrong_includes("cellar", "").size(), 1);
}

}  // namespace
