// SPDX-License-Identifier: MIT
#include "cdm/io/npy.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <ostream>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "io/npy_format.h"
#include "io/raw_array.h"

static_assert(std::endian::native == std::endian::little);

namespace cdm {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMostDimensions = 64;  // the limit of NumPy and LibTorch

/// A type of numbers in files, and that of the tensor that is made of them.
struct TypeName {
  std::string_view name;  // as in a header, without the order of bytes
  at::ScalarType stored, type;
};
// LibTorch has hardly any operation for unsigned numbers of more than 8 bits: each becomes the
// signed type that holds all its values.
constexpr std::array<TypeName, 12> kTypes = {{{"u1", at::kByte, at::kByte},
                                              {"b1", at::kBool, at::kBool},
                                              {"i1", at::kChar, at::kChar},
                                              {"i2", at::kShort, at::kShort},
                                              {"i4", at::kInt, at::kInt},
                                              {"i8", at::kLong, at::kLong},
                                              {"u2", at::kUInt16, at::kInt},
                                              {"u4", at::kUInt32, at::kLong},
                                              {"u8", at::kUInt64, at::kLong},
                                              {"f2", at::kHalf, at::kHalf},
                                              {"f4", at::kFloat, at::kFloat},
                                              {"f8", at::kDouble, at::kDouble}}};

/// Reverses the bytes of each number.
void swap_bytes(std::string& data, std::size_t width) {
  for (std::size_t i = 0; i + width <= data.size(); i += width) {
    std::reverse(data.begin() + static_cast<std::ptrdiff_t>(i),
                 data.begin() + static_cast<std::ptrdiff_t>(i + width));
  }
}

/// Copies unsigned numbers into the wider (or, for 64 bits, equally wide) numbers of `out`. Returns
/// whether all fit.
template <class Unsigned, class Signed>
bool widen(std::string_view data, at::Tensor& out) {
  auto* const values = out.mutable_data_ptr<Signed>();
  bool all_fit = true;
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    Unsigned value = 0;
    std::memcpy(&value, data.data() + static_cast<std::size_t>(i) * sizeof value, sizeof value);
    values[i] = static_cast<Signed>(value);
    all_fit = all_fit && values[i] >= 0;
  }
  return all_fit;
}

/// The text after "'key':" in the header's dictionary, without leading spaces; empty if there is no
/// such key.
std::string_view value_of(std::string_view header, std::string_view key) {
  const std::string quoted = concat("'", key, "':");
  const std::size_t at = header.find(quoted);
  if (at == std::string_view::npos) return {};
  std::string_view rest = header.substr(at + quoted.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

bool parse_shape(std::string_view text, std::vector<std::int64_t>& shape) {
  if (!text.starts_with('(')) return false;
  text.remove_prefix(1);
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
    if (text.starts_with(')')) return true;
    std::int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0) return false;
    shape.push_back(size);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
}

}  // namespace

std::string npy_header(at::ScalarType type, const std::vector<std::int64_t>& shape) {
  const auto known = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeName& entry) { return entry.stored == type; });
  TORCH_CHECK(known != kTypes.end(), "no .npy type for ", type);
  const char order = c10::elementSize(type) == 1 ? '|' : '<';
  std::string sizes;
  for (const std::int64_t size : shape) sizes += concat(size, ", ");
  std::string dictionary = concat("{'descr': '", order, known->name,
                                  "', 'fortran_order': False, 'shape': (", sizes, "), }");
  const std::size_t fixed_part = kMagic.size() + 4;
  dictionary.append(kAlignment - (fixed_part + dictionary.size() + 1) % kAlignment, ' ');
  dictionary += '\n';
  TORCH_CHECK(dictionary.size() < 65536, ".npy: too many dimensions");
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xff),
             static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

at::Tensor numpy_array(std::string_view descr, const std::vector<std::int64_t>& shape, bool fortran,
                       std::string_view data, const NumpyFailure& fail) {
  const auto known = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& entry) {
    return descr.size() == 3 && entry.name == descr.substr(1) &&
           std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  });
  if (known == kTypes.end()) throw fail(concat("type ", in_quotes(descr), " is not read here"));
  const std::size_t width = c10::elementSize(known->stored);
  if (descr[0] == '|' && width > 1) {
    throw fail(concat("type ", in_quotes(descr), " does not say the order of its bytes"));
  }
  if (shape.size() > kMostDimensions) throw fail(concat("it has ", shape.size(), " dimensions"));
  // Also for the type of the tensor, which may be wider: sizes are checked before memory is taken.
  const std::int64_t expected = byte_count(known->stored, shape);
  if (expected < 0 || byte_count(known->type, shape) < 0 ||
      data.size() != static_cast<std::size_t>(expected)) {
    throw fail(concat("its header asks for another number of bytes than the ", data.size(),
                      " that follow"));
  }
  if (known->stored == at::kBool && !are_truth_values(data)) {
    throw fail("it holds truth values other than 0 and 1");
  }
  std::string swapped;
  if (descr[0] == '>' && width > 1) {
    swapped = data;
    swap_bytes(swapped, width);
    data = swapped;
  }
  std::vector<std::int64_t> stored = shape;
  if (fortran) std::reverse(stored.begin(), stored.end());
  at::Tensor array = at::empty(stored, known->type);
  if (known->stored == at::kUInt16) {
    widen<std::uint16_t, std::int32_t>(data, array);
  } else if (known->stored == at::kUInt32) {
    widen<std::uint32_t, std::int64_t>(data, array);
  } else if (known->stored == at::kUInt64) {
    if (!widen<std::uint64_t, std::int64_t>(data, array))
      throw fail("it holds numbers above 2^63 - 1");
  } else if (expected > 0) {
    std::memcpy(array.mutable_data_ptr(), data.data(), data.size());
  }
  if (!fortran) return array;
  std::vector<std::int64_t> order(shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<std::int64_t>(order.size() - 1 - i);
  }
  return array.permute(order).contiguous();
}

at::Tensor parse_npy(std::string_view bytes, const std::string& source) {
  const auto fail = [&](const std::string& reason) {
    return UserError(concat(source, ": not a usable .npy array: ", reason));
  };
  if (bytes.size() < kMagic.size() + 4 || !bytes.starts_with(kMagic)) {
    throw fail("it does not start like one");
  }
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const int version = byte(6);
  if (version < 1 || version > 3) throw fail(concat("format version ", version));
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t header_start = 8 + length_bytes;
  if (bytes.size() < header_start) throw fail("it ends within its header");
  std::size_t header_length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    header_length |= static_cast<std::size_t>(byte(8 + i)) << (8 * i);
  }
  if (header_length > bytes.size() - header_start) throw fail("it ends within its header");
  const std::string_view header = bytes.substr(header_start, header_length);
  const std::string_view data = bytes.substr(header_start + header_length);

  std::string_view descr = value_of(header, "descr");
  const std::size_t closing = descr.empty() ? 0 : descr.find(descr[0], 1);
  if (descr.empty() || (descr[0] != '\'' && descr[0] != '"') || closing == std::string_view::npos) {
    throw fail("no simple type");
  }
  descr = descr.substr(1, closing - 1);
  const std::string_view fortran_order = value_of(header, "fortran_order");
  const bool fortran = fortran_order.starts_with("True");
  if (!fortran && !fortran_order.starts_with("False")) throw fail("no fortran_order");
  std::vector<std::int64_t> shape;
  if (!parse_shape(value_of(header, "shape"), shape)) throw fail("no shape");
  return numpy_array(descr, shape, fortran, data, fail);
}

at::Tensor read_npy(const std::filesystem::path& path) {
  return parse_npy(read_file(path), path.string());
}

NpyWriter::NpyWriter(std::filesystem::path path, at::ScalarType type,
                     std::vector<std::int64_t> shape)
    : file_(std::move(path)), type_(type), shape_(std::move(shape)) {
  TORCH_CHECK(!shape_.empty(), ".npy: an array without dimensions has no rows");
  file_.stream() << npy_header(type_, shape_);
}

void NpyWriter::append(const at::Tensor& rows) {
  TORCH_CHECK(rows.scalar_type() == type_ &&
                  rows.sizes().slice(1) == at::IntArrayRef(shape_).slice(1) &&
                  rows.size(0) <= shape_[0] - rows_,
              ".npy rows are ", rows.sizes(), " ", rows.scalar_type());
  const at::Tensor host = rows.detach().to(at::kCPU).contiguous();
  file_.stream().write(static_cast<const char*>(host.const_data_ptr()),
                       static_cast<std::streamsize>(host.nbytes()));
  file_.check();
  rows_ += rows.size(0);
}

void NpyWriter::close() {
  TORCH_CHECK(rows_ == shape_[0], ".npy: ", rows_, " rows came of ", shape_[0]);
  file_.commit();
}

}  // namespace cdm
