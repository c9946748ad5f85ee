// SPDX-License-Identifier: MIT
#include "cdm/io/safetensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/raw_array.h"
#include "io/what_it_is.h"

static_assert(std::endian::native == std::endian::little);

namespace cdm {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kLongestReason = 200;  // the JSON parser's messages quote the file

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<TypeName, 10> kTypes = {{{"F64", at::kDouble},
                                              {"F32", at::kFloat},
                                              {"F16", at::kHalf},
                                              {"BF16", at::kBFloat16},
                                              {"I64", at::kLong},
                                              {"I32", at::kInt},
                                              {"I16", at::kShort},
                                              {"I8", at::kChar},
                                              {"U8", at::kByte},
                                              {"BOOL", at::kBool}}};

struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::int64_t begin, end;
};

std::vector<std::int64_t> whole_numbers(const nlohmann::json& list) {
  if (!list.is_array()) throw std::runtime_error("shape and data_offsets must be lists");
  std::vector<std::int64_t> numbers;
  for (const nlohmann::json& number : list) {
    if (!number.is_number_unsigned() ||
        number.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
      throw std::runtime_error("shape and data_offsets must hold whole numbers");
    }
    numbers.push_back(number.get<std::int64_t>());
  }
  return numbers;
}

/// Refuses names that occur twice. nlohmann's parser by itself would keep the last one.
nlohmann::json parse_header(std::string_view text) {
  std::set<std::string> names;
  return nlohmann::json::parse(
      text, [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
        if (depth == 1 && event == nlohmann::json::parse_event_t::key &&
            !names.insert(value.get<std::string>()).second) {
          throw std::runtime_error(concat(in_quotes(value.get<std::string>()), " is there twice"));
        }
        return true;
      });
}

Entry parse_entry(const std::string& name, const nlohmann::json& json) {
  Entry entry;
  entry.name = name;
  const auto type_name = json.at("dtype").get<std::string>();
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const TypeName& known) { return known.name == type_name; });
  if (type == kTypes.end()) throw std::runtime_error("unknown dtype " + printable(type_name));
  entry.type = type->type;
  entry.shape = whole_numbers(json.at("shape"));
  const std::vector<std::int64_t> offsets = whole_numbers(json.at("data_offsets"));
  if (offsets.size() != 2) throw std::runtime_error("data_offsets must be two numbers");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

}  // namespace

SafetensorsFile parse_safetensors(std::string_view bytes, const std::string& source) {
  const auto fail = [&](const std::string& reason) -> UserError {
    return UserError(concat(source, ": not a whole safetensors file: ", reason));
  };
  if (const std::string other = what_it_is_instead(bytes); !other.empty()) {
    throw UserError(concat(source, ": ", other));
  }
  std::uint64_t header_length = 0;
  if (bytes.size() < kLengthBytes) throw fail("it is shorter than its header");
  std::memcpy(&header_length, bytes.data(), kLengthBytes);
  if (header_length > bytes.size() - kLengthBytes) throw fail("it is shorter than its header");
  const std::string_view header = bytes.substr(kLengthBytes, header_length);
  const std::string_view data = bytes.substr(kLengthBytes + header_length);

  SafetensorsFile file;
  std::vector<Entry> entries;
  std::string current;
  try {
    const nlohmann::json json = parse_header(header);
    if (!json.is_object()) throw fail("its header is not a JSON object");
    for (const auto& [name, value] : json.items()) {
      current = name;
      if (name == "__metadata__") {
        file.metadata = value.get<std::map<std::string, std::string>>();
      } else {
        entries.push_back(parse_entry(name, value));
      }
    }
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {
    throw fail(concat("header", current.empty() ? "" : " entry " + in_quotes(current), ": ",
                      std::string(error.what()).substr(0, kLongestReason)));
  }

  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data_size = static_cast<std::int64_t>(data.size());
  std::int64_t position = 0;
  for (const Entry& entry : entries) {
    const std::int64_t expected = byte_count(entry.type, entry.shape);
    if (entry.begin != position || entry.end < entry.begin || entry.end > data_size ||
        expected < 0 || entry.end - entry.begin != expected) {
      throw fail(concat(in_quotes(entry.name), " has offsets ", entry.begin, "..", entry.end,
                        " that do not fit its shape, its neighbours or the file"));
    }
    const std::string_view contents =
        data.substr(static_cast<std::size_t>(entry.begin), static_cast<std::size_t>(expected));
    if (entry.type == at::kBool && !are_truth_values(contents)) {
      throw fail(concat(in_quotes(entry.name), " holds truth values other than 0 and 1"));
    }
    at::Tensor tensor = at::empty(entry.shape, entry.type);
    if (expected > 0) {
      std::memcpy(tensor.mutable_data_ptr(), contents.data(), contents.size());
    }
    file.tensors.emplace_back(entry.name, std::move(tensor));
    position = entry.end;
  }
  if (position != data_size) throw fail("there are bytes after the last tensor");
  return file;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<at::Tensor> on_host;
  std::uint64_t position = 0;
  for (const auto& [name, tensor] : tensors) {
    on_host.push_back(tensor.detach().to(at::kCPU).contiguous());
    const auto type = std::find_if(
        kTypes.begin(), kTypes.end(),
        [&, &value = tensor](const TypeName& known) { return known.type == value.scalar_type(); });
    if (type == kTypes.end()) {
      throw std::runtime_error(concat(path.string(), ": '", name, "' has a type without a name"));
    }
    const std::uint64_t end = position + on_host.back().nbytes();
    header[name] = {
        {"dtype", type->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  write_atomically(path, [&](std::ostream& out) {
    const std::uint64_t length = text.size();
    out.write(reinterpret_cast<const char*>(&length), kLengthBytes);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    for (const at::Tensor& tensor : on_host) {
      out.write(static_cast<const char*>(tensor.const_data_ptr()),
                static_cast<std::streamsize>(tensor.nbytes()));
    }
  });
}

}  // namespace cdm
