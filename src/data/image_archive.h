// SPDX-License-Identifier: MIT
// What is in an archive of pictures: the part of data.kind = image_archive that decodes nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cdm {

/// The archives that data.path means, in order: itself, those in a folder by name, or those of a
/// range of numbers, shard-{000..009}.tar. Throws UserError when there are none, or one is missing.
std::vector<std::filesystem::path> archives_of(const std::filesystem::path& path);

/// The names of the pictures, in their order, each with its label if it has one.
using ArchivePictures = std::map<std::string, std::optional<std::int64_t>>;

struct ArchiveListing {
  ArchivePictures pictures;
  std::vector<std::string> passed_over;  // names of files that are neither pictures nor labels
};

/// Lists the pictures in an archive with their labels, from dataset.json or from .cls files. Other
/// files are passed over. Throws UserError for an archive that cannot be read, a name that is there
/// twice, and labels that are wrong or belong to no picture.
ArchiveListing list_archive(const std::filesystem::path& file);

}  // namespace cdm
