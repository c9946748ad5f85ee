// SPDX-License-Identifier: MIT
#include "io/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/what_it_is.h"

namespace cdm {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint64_t kLarge32 = 0xffffffff;
constexpr std::uint16_t kZip64Field = 0x0001;
constexpr std::uint16_t kPaddingField = 0x4246;  // "FB", as in PyTorch's files
constexpr std::uint32_t kStored = 0;
constexpr std::uint32_t kDeflated = 8;
constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kCentralSize = 46;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kFirstPiece = 64 << 10;  // bytes allocated first for an inflated member

std::uint64_t number(std::string_view bytes, std::size_t offset, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(bytes[offset + i])) << (8 * i);
  }
  return value;
}

void append_number(std::string& out, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

std::uint32_t crc_of(std::uint32_t crc, const void* data, std::size_t size) {
  if (size == 0) return crc;  // the data of an empty tensor is null, for which zlib starts again
  return static_cast<std::uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(data), size));
}

std::string inflate_member(std::string_view compressed, std::uint64_t size, bool& good) {
  // Refuses an impossible size: a deflated byte gives about a thousand bytes at most.
  good = size / 1100 <= compressed.size() && size < std::numeric_limits<uInt>::max() &&
         compressed.size() < std::numeric_limits<uInt>::max();
  if (!good) return {};
  z_stream stream = {};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  good = ::inflateInit2(&stream, -MAX_WBITS) == Z_OK;
  if (!good) return {};
  // The buffer grows with the data, because the claimed size may still be too large.
  std::string out;
  int result = Z_OK;
  do {
    const std::size_t done = out.size();
    out.resize(std::min(static_cast<std::size_t>(size), std::max(2 * done, kFirstPiece)));
    stream.next_out = reinterpret_cast<Bytef*>(out.data()) + done;
    stream.avail_out = static_cast<uInt>(out.size() - done);
    result = ::inflate(&stream, Z_NO_FLUSH);
  } while (result == Z_OK && stream.avail_out == 0 && out.size() < size);
  good = result == Z_STREAM_END && stream.total_out == size;
  ::inflateEnd(&stream);
  return out;
}

}  // namespace

ZipReader::ZipReader(std::string bytes, std::string source)
    : bytes_(std::move(bytes)), source_(std::move(source)) {
  const auto fail = [&](const char* reason) {
    return UserError(concat(source_, ": not a whole zip archive: ", reason));
  };
  if (const std::string other = what_it_is_instead(bytes_); !other.empty()) {
    throw UserError(concat(source_, ": ", other));
  }
  const std::string_view all = bytes_;
  std::string mark;
  append_number(mark, kEnd, 4);
  const std::size_t end = all.rfind(mark);
  if (end == std::string_view::npos || all.size() - end < kEndSize) {
    throw fail("it has no directory at its end");
  }
  std::uint64_t count = number(all, end + 10, 2);
  std::uint64_t offset = number(all, end + 16, 4);
  if (end >= 20 && number(all, end - 20, 4) == kEnd64Locator) {
    const std::uint64_t end64 = number(all, end - 12, 8);
    if (end64 > end || end - end64 < kEnd64Size || number(all, end64, 4) != kEnd64) {
      throw fail("bad zip64 end");
    }
    count = number(all, end64 + 32, 8);
    offset = number(all, end64 + 48, 8);
  }
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (offset > all.size() || all.size() - offset < kCentralSize ||
        number(all, offset, 4) != kCentralHeader) {
      throw fail("bad directory");
    }
    const auto at = static_cast<std::size_t>(offset);
    const std::size_t name_size = number(all, at + 28, 2);
    const std::size_t extra_size = number(all, at + 30, 2);
    const std::size_t comment_size = number(all, at + 32, 2);
    if (all.size() - at - kCentralSize < name_size + extra_size + comment_size) {
      throw fail("bad directory");
    }
    Member member;
    member.method = static_cast<std::uint32_t>(number(all, at + 10, 2));
    if ((number(all, at + 8, 2) & 1) != 0) throw fail("a member is encrypted");
    member.crc = static_cast<std::uint32_t>(number(all, at + 16, 4));
    member.compressed_size = number(all, at + 20, 4);
    member.size = number(all, at + 24, 4);
    member.header_offset = number(all, at + 42, 4);
    member.name = all.substr(at + kCentralSize, name_size);
    // The zip64 field holds the numbers that do not fit into 32 bits, in this order.
    std::string_view extra = all.substr(at + kCentralSize + name_size, extra_size);
    while (extra.size() >= 4) {
      const std::size_t field_size = std::min<std::size_t>(number(extra, 2, 2), extra.size() - 4);
      std::string_view field = extra.substr(4, field_size);
      if (number(extra, 0, 2) == kZip64Field) {
        for (std::uint64_t* value :
             {&member.size, &member.compressed_size, &member.header_offset}) {
          if (*value != kLarge32) continue;
          if (field.size() < 8) throw fail("bad zip64 field");
          *value = number(field, 0, 8);
          field.remove_prefix(8);
        }
      }
      extra.remove_prefix(4 + field_size);
    }
    // Members of a normal archive do not overlap. Those of a zip bomb share their bytes.
    if (member.compressed_size > all.size() - total) throw fail("its members overlap");
    total += member.compressed_size;
    members_.push_back(std::move(member));
    offset += kCentralSize + name_size + extra_size + comment_size;
  }
}

const ZipReader::Member* ZipReader::find(std::string_view name) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& member) { return member.name == name; });
  return found == members_.end() ? nullptr : &*found;
}

std::string ZipReader::read(const Member& member) const {
  const auto fail = [&](const char* reason) {
    return UserError(concat(source_, ": member ", in_quotes(member.name), " ", reason));
  };
  const std::string_view all = bytes_;
  if (member.header_offset > all.size() || all.size() - member.header_offset < kLocalSize ||
      number(all, member.header_offset, 4) != kLocalHeader) {
    throw fail("has no header");
  }
  const std::size_t names =
      number(all, member.header_offset + 26, 2) + number(all, member.header_offset + 28, 2);
  const std::uint64_t start = member.header_offset + kLocalSize + names;
  if (start > all.size() || member.compressed_size > all.size() - start) throw fail("is cut off");
  const std::string_view stored =
      all.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(member.compressed_size));
  std::string contents;
  bool good = true;
  if (member.method == kStored) {
    good = member.size == member.compressed_size;
    contents = stored;
  } else if (member.method == kDeflated) {
    contents = inflate_member(stored, member.size, good);
  } else {
    throw fail("is compressed in a way that is not read here (only stored and deflated are)");
  }
  if (!good || crc_of(0, contents.data(), contents.size()) != member.crc) {
    throw fail("is damaged");
  }
  return contents;
}

void ZipWriter::put(std::string_view bytes) {
  file_.stream().write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file_.check();
  position_ += bytes.size();
}

void ZipWriter::begin(const std::string& name, std::uint64_t size, std::uint64_t alignment) {
  finish_member();
  Entry entry = {.name = name, .size = size, .offset = position_};
  const bool large = size >= kLarge32;
  std::string extra;
  if (large) {
    append_number(extra, kZip64Field, 2);
    append_number(extra, 16, 2);
    append_number(extra, size, 8);
    append_number(extra, size, 8);
  }
  const std::uint64_t before = position_ + kLocalSize + name.size() + extra.size() + 4;
  const std::uint64_t padding = (alignment - before % alignment) % alignment;
  append_number(extra, kPaddingField, 2);
  append_number(extra, padding, 2);
  extra.append(static_cast<std::size_t>(padding), 'Z');

  std::string header;
  append_number(header, kLocalHeader, 4);
  append_number(header, large ? 45 : 20, 2);  // version needed
  append_number(header, 0, 2 + 2);            // flags, method
  append_number(header, 0, 2);                // time
  append_number(header, 0x21, 2);             // date: 1 January 1980
  append_number(header, 0, 4);                // CRC, filled in later
  append_number(header, large ? kLarge32 : size, 4);
  append_number(header, large ? kLarge32 : size, 4);
  append_number(header, name.size(), 2);
  append_number(header, extra.size(), 2);
  put(header + name + extra);
  entries_.push_back(std::move(entry));
  open_member_ = true;
}

void ZipWriter::append(const void* data, std::size_t size) {
  Entry& entry = entries_.back();
  if (!open_member_ || size > entry.size - entry.written) {
    throw std::logic_error("zip member '" + entry.name + "' is longer than announced");
  }
  put({static_cast<const char*>(data), size});
  entry.crc = crc_of(entry.crc, data, size);
  entry.written += size;
}

void ZipWriter::finish_member() {
  if (!open_member_) return;
  const Entry& entry = entries_.back();
  if (entry.written != entry.size) {
    throw std::logic_error("zip member '" + entry.name + "' is shorter than announced");
  }
  std::string crc;
  append_number(crc, entry.crc, 4);
  file_.stream().seekp(static_cast<std::streamoff>(entry.offset + 14)).write(crc.data(), 4);
  file_.stream().seekp(static_cast<std::streamoff>(position_));
  open_member_ = false;
}

void ZipWriter::write(const std::string& name, std::string_view contents, std::uint64_t alignment) {
  begin(name, contents.size(), alignment);
  append(contents.data(), contents.size());
}

void ZipWriter::close() {
  finish_member();
  const std::uint64_t directory = position_;
  for (const Entry& entry : entries_) {
    const bool large = entry.size >= kLarge32;
    const bool far = entry.offset >= kLarge32;
    std::string extra;
    if (large || far) {
      append_number(extra, kZip64Field, 2);
      append_number(extra, (large ? 16 : 0) + (far ? 8 : 0), 2);
      if (large) append_number(extra, entry.size, 8);
      if (large) append_number(extra, entry.size, 8);
      if (far) append_number(extra, entry.offset, 8);
    }
    std::string header;
    append_number(header, kCentralHeader, 4);
    append_number(header, 45, 2);                      // made by
    append_number(header, large || far ? 45 : 20, 2);  // version needed
    append_number(header, 0, 2 + 2 + 2);               // flags, method, time
    append_number(header, 0x21, 2);                    // date
    append_number(header, entry.crc, 4);
    append_number(header, large ? kLarge32 : entry.size, 4);
    append_number(header, large ? kLarge32 : entry.size, 4);
    append_number(header, entry.name.size(), 2);
    append_number(header, extra.size(), 2);
    append_number(header, 0, 2 + 2 + 2);  // comment, disk, internal attributes
    append_number(header, 0, 4);          // external attributes
    append_number(header, far ? kLarge32 : entry.offset, 4);
    put(header + entry.name + extra);
  }
  const std::uint64_t directory_size = position_ - directory;
  const std::uint64_t count = entries_.size();
  std::string end;
  if (directory >= kLarge32 || count >= 0xffff) {
    const std::uint64_t end64 = position_;
    append_number(end, kEnd64, 4);
    append_number(end, 44, 8);
    append_number(end, 45, 2);
    append_number(end, 45, 2);
    append_number(end, 0, 4 + 4);
    append_number(end, count, 8);
    append_number(end, count, 8);
    append_number(end, directory_size, 8);
    append_number(end, directory, 8);
    append_number(end, kEnd64Locator, 4);
    append_number(end, 0, 4);
    append_number(end, end64, 8);
    append_number(end, 1, 4);
  }
  append_number(end, kEnd, 4);
  append_number(end, 0, 2 + 2);
  append_number(end, std::min<std::uint64_t>(count, 0xffff), 2);
  append_number(end, std::min<std::uint64_t>(count, 0xffff), 2);
  append_number(end, directory_size, 4);
  append_number(end, std::min(directory, kLarge32), 4);
  append_number(end, 0, 2);
  put(end);
  file_.commit();
}

}  // namespace cdm
