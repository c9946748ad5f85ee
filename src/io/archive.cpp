// SPDX-License-Identifier: MIT
#include "io/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <stdexcept>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::size_t kBlock = 1U << 18U;  // bytes read from the disk at a time

/// libarchive gives names in the characters of the locale, and none where they do not fit. While
/// this object lives, the characters of this thread are UTF-8.
class Utf8Names {
 public:
  Utf8Names() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) before_ = ::uselocale(locale_);
  }
  ~Utf8Names() {
    if (locale_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  ::locale_t locale_, before_ = nullptr;
};

}  // namespace

struct ArchiveReader::Handle {
  ::archive* reader = ::archive_read_new();
  ::archive_entry* entry = nullptr;

  Handle() {
    if (reader == nullptr) throw std::runtime_error("libarchive: no memory");
  }
  ~Handle() { ::archive_read_free(reader); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  std::string error() const {
    const char* const text = ::archive_error_string(reader);
    return text == nullptr ? "unknown error" : printable(text);
  }
};

ArchiveReader::ArchiveReader(std::filesystem::path path)
    : path_(std::move(path)), handle_(std::make_unique<Handle>()) {
  // The zip reader that needs the archive's directory: the other one takes the part of an archive
  // that is cut short for a whole one. No filter that runs other programs.
  ::archive_read_support_format_zip_seekable(handle_->reader);
  ::archive_read_support_format_tar(handle_->reader);
  ::archive_read_support_filter_gzip(handle_->reader);
  if (::archive_read_open_filename(handle_->reader, path_.c_str(), kBlock) != ARCHIVE_OK) {
    throw UserError(concat(path_.string(), ": not a zip or tar archive: ", handle_->error()));
  }
}

ArchiveReader::~ArchiveReader() = default;
ArchiveReader::ArchiveReader(ArchiveReader&&) noexcept = default;

bool ArchiveReader::next() {
  const Utf8Names utf8;
  while (true) {
    const int result = ::archive_read_next_header(handle_->reader, &handle_->entry);
    if (result == ARCHIVE_EOF) return false;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      throw UserError(
          concat(path_.string(), ": not a whole zip or tar archive: ", handle_->error()));
    }
    const bool is_plain = ::archive_entry_filetype(handle_->entry) == AE_IFREG;
    is_link_ = ::archive_entry_hardlink(handle_->entry) != nullptr ||
               ::archive_entry_symlink(handle_->entry) != nullptr;
    if (!is_plain && !is_link_) continue;
    ++count_;
    const char* const name = ::archive_entry_pathname(handle_->entry);
    if (name == nullptr || *name == '\0') {
      throw UserError(
          concat(path_.string(), ": the name of file ", count_, " in it cannot be read"));
    }
    name_ = name;
    return true;
  }
}

std::string ArchiveReader::read(std::uint64_t most) {
  std::string bytes;
  while (true) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int result = ::archive_read_data_block(handle_->reader, &block, &size, &offset);
    if (result == ARCHIVE_EOF) return bytes;
    // A warning is a wrong checksum here.
    if (result != ARCHIVE_OK) {
      throw UserError(concat(where(), ": cannot be read: ", handle_->error()));
    }
    // A sparse file leaves out zeros; none that is read here has a reason to.
    if (static_cast<std::uint64_t>(offset) != bytes.size()) {
      throw UserError(concat(where(), ": cannot be read: it is a sparse file"));
    }
    if (size > most - bytes.size()) {
      throw UserError(concat(where(), ": is larger than ",
                             format_bytes(static_cast<std::int64_t>(most)),
                             ", the most that is read"));
    }
    bytes.append(static_cast<const char*>(block), size);
  }
}

std::string ArchiveReader::where() const { return concat(path_.string(), ": ", in_quotes(name_)); }

}  // namespace cdm
