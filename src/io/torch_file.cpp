// SPDX-License-Identifier: MIT
// The archive around the pickle. Its members are NAME/data.pkl (the pickle), NAME/byteorder, and
// NAME/data/KEY for each storage.
#include "cdm/io/torch_file.h"

#include <ATen/ops/empty.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/pickle.h"
#include "io/raw_array.h"
#include "io/zip.h"

static_assert(std::endian::native == std::endian::little);

namespace cdm {
namespace {

constexpr std::string_view kPickle = "/data.pkl";
constexpr std::uint64_t kLargestPickle = 16U << 20U;  // bytes; enough for some 170,000 tensors
constexpr std::uint64_t kAlignment = 64;
constexpr const char* kRoot = "archive/";  // torch.save's name when it writes to a stream

/// Reads the storages of an archive. Each is read once, so that tensors share memory.
class Storages {
 public:
  Storages(const ZipReader& archive, std::string folder, std::string source)
      : archive_(archive), folder_(std::move(folder)), source_(std::move(source)) {
    for (const ZipReader::Member& member : archive.members()) members_[member.name] = &member;
  }

  at::Tensor read(const std::string& key, at::ScalarType type, std::int64_t count) {
    const auto known = read_.find(key);
    if (known == read_.end()) return read_.emplace(key, load(key, type, count)).first->second;
    if (known->second.scalar_type() != type || known->second.numel() != count) {
      throw UserError(concat(source_, ": damaged: one storage has two types or sizes"));
    }
    return known->second;
  }

 private:
  at::Tensor load(const std::string& key, at::ScalarType type, std::int64_t count) const {
    const auto member = members_.find(folder_ + key);
    if (member == members_.end()) throw UserError(concat(source_, ": damaged: lacks a storage"));
    const auto fail = [&](const char* reason) {
      return UserError(concat(source_, ": member ", in_quotes(member->second->name), " ", reason));
    };
    const std::string bytes = archive_.read(*member->second);
    const std::size_t element = c10::elementSize(type);
    if (bytes.size() % element != 0 ||
        bytes.size() / element != static_cast<std::uint64_t>(count)) {
      throw fail("is not of the size that data.pkl says");
    }
    if (type == at::kBool && !are_truth_values(bytes)) {
      throw fail("holds truth values other than 0 and 1");
    }
    at::Tensor storage = at::empty({count}, type);
    if (count > 0) std::memcpy(storage.mutable_data_ptr(), bytes.data(), bytes.size());
    return storage;
  }

  const ZipReader& archive_;
  std::string folder_, source_;
  std::unordered_map<std::string, const ZipReader::Member*> members_;
  std::unordered_map<std::string, at::Tensor> read_;
};

}  // namespace

TorchValue::TorchValue(TorchList value)
    : value_(std::make_shared<const TorchList>(std::move(value))) {}
TorchValue::TorchValue(TorchDict value)
    : value_(std::make_shared<const TorchDict>(std::move(value))) {}

const TorchValue* TorchDict::find(const TorchKey& key) const {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.first == key; });
  return found == items.end() ? nullptr : &found->second;
}

TorchValue read_torch(const std::filesystem::path& path) {
  return parse_torch(read_file(path), path.string());
}

TorchValue parse_torch(std::string bytes, const std::string& source) {
  if (bytes.starts_with("\x80\x02")) {
    throw UserError(concat(source,
                           ": is in PyTorch's old format, which is not read here: load it in "
                           "Python and save it again with PyTorch 1.6 or newer"));
  }
  const ZipReader archive(std::move(bytes), source);
  const auto pickle =
      std::find_if(archive.members().begin(), archive.members().end(),
                   [](const ZipReader::Member& member) { return member.name.ends_with(kPickle); });
  if (pickle == archive.members().end()) {
    throw UserError(concat(source, ": not a PyTorch file: it has no data.pkl"));
  }
  if (pickle->size > kLargestPickle) {
    throw UserError(concat(source, ": its data.pkl is larger than ", format_bytes(kLargestPickle),
                           ", which is not read here"));
  }
  const std::string root = pickle->name.substr(0, pickle->name.size() - kPickle.size() + 1);
  if (const ZipReader::Member* order = archive.find(root + "byteorder")) {
    if (archive.read(*order) != "little") {
      throw UserError(concat(source,
                             ": its numbers are not little-endian, which is the "
                             "only order read here"));
    }
  }
  Storages storages(archive, root + "data/", source);
  return parse_pickle(
      archive.read(*pickle),
      [&](const std::string& key, at::ScalarType type, std::int64_t count) {
        return storages.read(key, type, count);
      },
      source);
}

void write_torch(const std::filesystem::path& path, const TorchValue& value) {
  const std::string root = kRoot;
  std::vector<at::Tensor> storages;
  const std::string pickle = make_pickle(value, [&](const at::Tensor& contiguous) {
    storages.push_back(contiguous);
    return std::to_string(storages.size() - 1);
  });
  ZipWriter zip(path);
  zip.write(root + "data.pkl", pickle, kAlignment);
  zip.write(root + ".format_version", "1", kAlignment);
  zip.write(root + ".storage_alignment", std::to_string(kAlignment), kAlignment);
  zip.write(root + "byteorder", "little", kAlignment);
  for (std::size_t i = 0; i < storages.size(); ++i) {
    zip.begin(concat(root, "data/", i), storages[i].nbytes(), kAlignment);
    zip.append(storages[i].const_data_ptr(), storages[i].nbytes());
  }
  zip.write(root + "version", "3\n", kAlignment);
  // An identifier of 40 digits, which PyTorch uses for its logs only.
  std::string id =
      std::to_string(::crc32_z(0, reinterpret_cast<const Bytef*>(pickle.data()), pickle.size()));
  id.insert(0, 40 - id.size(), '0');
  zip.write(root + ".data/serialization_id", id, kAlignment);
  zip.close();
}

}  // namespace cdm
