// SPDX-License-Identifier: MIT
// What lies in a folder of pictures: pictures, folders, and what is passed over.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cdm {

struct FolderListing {
  std::vector<std::string> pictures;     // names of files, in natural order
  std::vector<std::string> folders;      // in byte order
  std::vector<std::string> passed_over;  // in byte order; names of folders end in '/'
};

/// Lists a folder by the names of its entries. A picture is what has a picture's name, whatever it
/// is: reading it says whether it is one. Passed over are hidden entries, what systems leave behind
/// (Thumbs.db, @eaDir), and other files. Throws UserError, naming the entry, when the folder cannot
/// be read, or an entry without a picture's name is a link that leads nowhere or cannot be looked
/// at: it may have been a folder of pictures.
FolderListing list_folder(const std::filesystem::path& folder);

/// Whether `path` is a folder. Throws UserError, naming it, when it is a link that leads nowhere,
/// or when it is there and cannot be looked at.
bool is_folder(const std::filesystem::path& path);

/// Whether a name ends like a picture of any format, read or not. A file with such a name that is
/// not read is an error; other files are passed over.
bool has_picture_name(const std::string& name);

/// Logs once that `names` in `place`, a folder or archive, were passed over. Nothing without names.
void say_passed_over(const std::string& place, const std::vector<std::string>& names);

/// "3 files that are no pictures: a, b, c", of which the first few are named.
std::string describe_passed_over(const std::vector<std::string>& names);

}  // namespace cdm
