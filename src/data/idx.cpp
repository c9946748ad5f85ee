// SPDX-License-Identifier: MIT
// IDX files, the format of MNIST and its relatives: http://yann.lecun.com/exdb/mnist. A file is
// four bytes (0, 0, type 8 = uint8, number of dimensions), the sizes as big-endian 32-bit numbers,
// and the data.
#include <ATen/ops/empty.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {
namespace {

constexpr std::size_t kPiece = 1 << 20;  // bytes read at a time; gzread counts in int

/// The bytes of a file, decompressed if it is a gzip file.
class ByteSource {
 public:
  explicit ByteSource(const std::filesystem::path& path)
      : path_(path.string()), file_(::gzopen(path.c_str(), "rb"), &::gzclose) {
    if (file_ == nullptr) {
      throw UserError(concat(path_, ": cannot be read: ", std::strerror(errno)));
    }
    // A deflated byte gives about a thousand bytes at most.
    const std::uint64_t stored = std::filesystem::file_size(path);
    most_ = ::gzdirect(file_.get()) == 1 ? stored : stored * 1100;
  }

  const std::string& path() const { return path_; }

  /// An upper bound of the number of bytes.
  std::uint64_t most() const { return most_; }

  /// Reads up to `count` bytes and returns how many it read; fewer only at the end of the file.
  std::size_t read(void* out, std::size_t count) {
    std::size_t done = 0;
    while (done < count) {
      const auto piece = static_cast<unsigned>(std::min(count - done, kPiece));
      const int got = ::gzread(file_.get(), static_cast<char*>(out) + done, piece);
      if (got <= 0) check_error();  // also at 0: gzread may end there when the last CRC is cut off
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

 private:
  void check_error() const {
    int code = Z_OK;
    const char* const text = ::gzerror(file_.get(), &code);
    if (code == Z_OK) return;
    throw UserError(concat(path_, ": damaged: ", code == Z_ERRNO ? std::strerror(errno) : text));
  }

  std::string path_;
  std::unique_ptr<gzFile_s, decltype(&::gzclose)> file_;
  std::uint64_t most_ = 0;
};

UserError truncated(const ByteSource& source) {
  return UserError(concat(source.path(), ": truncated: its header announces more bytes"));
}

}  // namespace

at::Tensor read_idx(const std::filesystem::path& file, std::size_t dimensions) {
  check_data_file(file);
  ByteSource source(file);
  std::vector<std::uint8_t> header(4 + 4 * dimensions);
  if (source.read(header.data(), header.size()) != header.size()) {
    throw UserError(concat(source.path(), ": ends within its header"));
  }
  const std::array<std::uint8_t, 4> magic = {0, 0, 8, static_cast<std::uint8_t>(dimensions)};
  if (!std::equal(magic.begin(), magic.end(), header.begin())) {
    throw UserError(concat(source.path(), ": not an IDX file of bytes with ", dimensions,
                           " dimensions: wrong magic number"));
  }
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    const std::uint8_t* const at = header.data() + 4 + 4 * i;
    const std::uint32_t size = static_cast<std::uint32_t>(at[0]) << 24 |
                               static_cast<std::uint32_t>(at[1]) << 16 |
                               static_cast<std::uint32_t>(at[2]) << 8 | at[3];
    if (size == 0) throw UserError(concat(source.path(), ": holds nothing"));
    if (bytes > source.most() / size) throw truncated(source);
    shape.push_back(size);
    bytes *= size;
  }
  at::Tensor array = at::empty(shape, at::kByte);
  if (source.read(array.mutable_data_ptr(), bytes) != bytes) throw truncated(source);
  std::uint8_t extra = 0;  // reading to the end also checks a gzip file's CRC
  if (source.read(&extra, 1) != 0) {
    throw UserError(concat(source.path(), ": longer than its header announces"));
  }
  return array;
}

std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& prefix,
                               IdxContents contents) {
  const bool is_images = contents == IdxContents::images;
  const std::string stem = prefix + (is_images ? "-images" : "-labels");
  for (const char* const separator : {"-", "."}) {
    const std::string name = concat(stem, separator, is_images ? "idx3-ubyte" : "idx1-ubyte");
    for (const std::string& candidate : {name, name + ".gz"}) {
      // Also a link that leads nowhere: reading it says so. One copy of MNIST has a folder of the
      // usual name around each file.
      const std::filesystem::path file = folder / candidate;
      std::error_code error;
      if (is_there(file) && !std::filesystem::is_directory(file, error)) return file;
    }
  }
  return {};
}

Dataset read_idx_pair(const std::filesystem::path& folder, const std::string& prefix) {
  const std::filesystem::path images = find_idx(folder, prefix, IdxContents::images);
  if (images.empty()) {
    throw UserError(concat((folder / (prefix + "-images-idx3-ubyte")).string(),
                           ": not found, nor with .idx3-ubyte or .gz at its end"));
  }
  Dataset dataset;
  dataset.images = read_idx(images, 3).unsqueeze(1);
  const std::filesystem::path labels = find_idx(folder, prefix, IdxContents::labels);
  if (!labels.empty()) dataset.labels = read_idx(labels, 1).to(at::kLong);
  return dataset;
}

}  // namespace cdm
