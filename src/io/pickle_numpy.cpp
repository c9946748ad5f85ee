// SPDX-License-Identifier: MIT
#include "io/pickle_numpy.h"

#include <cstdint>

#include "io/npy_format.h"

namespace cdm::pickle {

at::Tensor build_array(Objects& objects, Object state, const Failure& fail) {
  const auto& values = expect<Sequence>(objects, state, "the state of a NumPy array", fail).items;
  if (values.size() != 5) throw fail("a NumPy array has another state than five values");
  const std::vector<std::int64_t> shape = whole_numbers(objects, values[1], fail);
  const auto& type = expect<ArrayType>(objects, values[2], "a NumPy type", fail);
  const auto* const number = std::get_if<std::int64_t>(&objects[values[3]]);
  const bool fortran =
      number != nullptr ? *number != 0 : expect<bool>(objects, values[3], "a truth value", fail);
  const auto& data = expect<std::string>(objects, values[4], "the bytes of a NumPy array", fail);
  return numpy_array(type.order + type.name, shape, fortran, data, [&](const std::string& reason) {
    return fail("an array cannot be read: " + reason);
  });
}

std::string latin1_bytes(const std::string& text, const Failure& fail) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<std::uint8_t>(text[i]);
    if (first < 0x80) {
      bytes += text[i];
      continue;
    }
    // U+0080 to U+00FF are 110000xx 10xxxxxx.
    const auto second = static_cast<std::uint8_t>(i + 1 < text.size() ? text[++i] : '\0');
    if ((first != 0xc2 && first != 0xc3) || (second & 0xc0U) != 0x80) {
      throw fail("bytes are not made from latin1 text");
    }
    bytes += static_cast<char>((first & 0x03U) << 6U | (second & 0x3fU));
  }
  return bytes;
}

}  // namespace cdm::pickle
