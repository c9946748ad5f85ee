// SPDX-License-Identifier: MIT
#include "cdm/io/npz.h"

#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/npy_format.h"
#include "io/zip.h"

namespace cdm {
namespace {

constexpr std::string_view kSuffix = ".npy";

ZipReader open_archive(const std::filesystem::path& path) {
  return {read_file(path), path.string()};
}

std::vector<std::string> names_in(const ZipReader& archive) {
  std::vector<std::string> names;
  for (const ZipReader::Member& member : archive.members()) {
    if (member.name.ends_with(kSuffix)) {
      names.push_back(member.name.substr(0, member.name.size() - kSuffix.size()));
    }
  }
  return names;
}

/// For a message: the names of the arrays, at most ten of them.
std::string what_is_in(const ZipReader& archive) {
  constexpr std::size_t kMostNames = 10;
  std::vector<std::string> names;
  for (const std::string& name : names_in(archive)) names.push_back(in_quotes(name));
  if (names.empty()) return "it holds no arrays";
  return concat("it has ", list_some(std::move(names), kMostNames));
}

}  // namespace

std::vector<std::string> npz_names(const std::filesystem::path& path) {
  return names_in(open_archive(path));
}

at::Tensor read_npz(const std::filesystem::path& path, const std::string& name) {
  const ZipReader archive = open_archive(path);
  const ZipReader::Member* const member = archive.find(name + std::string(kSuffix));
  if (member == nullptr) {
    throw UserError(
        concat(path.string(), ": has no array ", in_quotes(name), "; ", what_is_in(archive)));
  }
  return parse_npy(archive.read(*member), concat(path.string(), ": array ", in_quotes(name)));
}

class NpzWriter::Impl {
 public:
  explicit Impl(std::filesystem::path path) : zip_(std::move(path)) {}

  void begin(const std::string& name, at::ScalarType type, const std::vector<std::int64_t>& shape) {
    type_ = type;
    row_shape_.assign(shape.begin() + (shape.empty() ? 0 : 1), shape.end());
    std::uint64_t bytes = c10::elementSize(type);
    for (const std::int64_t size : shape) bytes *= static_cast<std::uint64_t>(size);
    const std::string header = npy_header(type, shape);
    zip_.begin(name + std::string(kSuffix), header.size() + bytes);
    zip_.append(header.data(), header.size());
  }

  void append(const at::Tensor& rows) {
    TORCH_CHECK(rows.scalar_type() == type_ && rows.sizes().slice(1) == at::IntArrayRef(row_shape_),
                "npz rows are ", rows.sizes(), " ", rows.scalar_type());
    append_all(rows);
  }

  void append_all(const at::Tensor& array) {
    const at::Tensor host = array.detach().to(at::kCPU).contiguous();
    zip_.append(host.const_data_ptr(), host.nbytes());
  }

  void close() { zip_.close(); }

 private:
  ZipWriter zip_;
  at::ScalarType type_ = at::kByte;
  std::vector<std::int64_t> row_shape_;
};

NpzWriter::NpzWriter(std::filesystem::path path) : impl_(std::make_unique<Impl>(std::move(path))) {}
NpzWriter::~NpzWriter() = default;

void NpzWriter::begin(const std::string& name, at::ScalarType type,
                      const std::vector<std::int64_t>& shape) {
  impl_->begin(name, type, shape);
}
void NpzWriter::append(const at::Tensor& rows) { impl_->append(rows); }
void NpzWriter::write(const std::string& name, const at::Tensor& array) {
  impl_->begin(name, array.scalar_type(), array.sizes().vec());
  impl_->append_all(array);
}
void NpzWriter::close() { impl_->close(); }

}  // namespace cdm
