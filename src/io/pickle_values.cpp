// SPDX-License-Identifier: MIT
// Turns a pickle's objects, which refer to each other in any way, into values that own their parts.
#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "io/pickle_objects.h"

namespace cdm::pickle {
namespace {

constexpr std::size_t kDeepest = 64;           // levels of containers within containers
constexpr std::size_t kMostText = 16U << 20U;  // bytes; text that is used twice counts twice
constexpr const char* kTooDeep = "it nests values too deeply";

class Converter {
 public:
  Converter(const Objects& objects, const Failure& fail) : objects_(objects), fail_(fail) {}

  TorchValue run(Object object) { return convert(object, 1).value; }

 private:
  struct Converted {
    TorchValue value;
    std::size_t height = 1;
  };
  Converted convert(Object object, std::size_t depth);
  Converted convert_container(const Contents& contents, std::size_t depth);
  TorchValue convert_simple(const Contents& contents);
  TorchKey key(Object object);
  std::string text(const std::string& value);

  const Objects& objects_;
  const Failure& fail_;
  std::unordered_map<Object, std::optional<Converted>> converted_;  // nullopt: not finished yet
  std::size_t text_ = 0;                                            // bytes so far
};

/// Limits both the depth at which a value is found and the height of the value itself to kDeepest,
/// so that code that walks through it, destructors included, may recurse.
Converter::Converted Converter::convert(Object object, std::size_t depth) {
  const Contents& contents = objects_[object];
  if (!std::holds_alternative<Sequence>(contents) && !std::holds_alternative<Mapping>(contents)) {
    return {convert_simple(contents), 1};
  }
  const auto [entry, is_new] = converted_.try_emplace(object);
  if (!is_new) {
    if (!entry->second.has_value()) throw fail_("a value contains itself");
    return *entry->second;
  }
  Converted result = convert_container(contents, depth);
  converted_.at(object).emplace(result);
  return result;
}

Converter::Converted Converter::convert_container(const Contents& contents, std::size_t depth) {
  if (depth > kDeepest) throw fail_(kTooDeep);
  Converted result;
  const auto child = [&](Object item) {
    Converted converted = convert(item, depth + 1);
    result.height = std::max(result.height, converted.height + 1);
    return std::move(converted.value);
  };
  if (const auto* sequence = std::get_if<Sequence>(&contents)) {
    TorchList list{{}, sequence->is_tuple};
    for (const Object item : sequence->items) list.items.push_back(child(item));
    result.value = std::move(list);
  } else {
    const auto& map = std::get<Mapping>(contents);
    TorchDict dict{{}, map.is_ordered};
    std::set<TorchKey> keys;
    for (const auto& [name, value] : map.items) {
      dict.items.emplace_back(key(name), child(value));
      if (!keys.insert(dict.items.back().first).second) throw fail_("a dict has a key twice");
    }
    result.value = std::move(dict);
  }
  if (result.height > kDeepest) throw fail_(kTooDeep);
  return result;
}

TorchValue Converter::convert_simple(const Contents& contents) {
  if (std::holds_alternative<std::monostate>(contents)) return {};
  if (const auto* flag = std::get_if<bool>(&contents)) return *flag;
  if (const auto* whole = std::get_if<std::int64_t>(&contents)) return *whole;
  if (const auto* real = std::get_if<double>(&contents)) return *real;
  if (const auto* tensor = std::get_if<at::Tensor>(&contents)) return *tensor;
  if (const auto* words = std::get_if<std::string>(&contents)) return text(*words);
  throw fail_("a storage or function stands by itself where a value is due");
}

TorchKey Converter::key(Object object) {
  if (const auto* number = std::get_if<std::int64_t>(&objects_[object])) return *number;
  const auto* const name = std::get_if<std::string>(&objects_[object]);
  if (name == nullptr) throw fail_("something else is where a key (text or a number) is due");
  return text(*name);
}

/// A copy of a text. Counts its bytes, because a short pickle may use a long text very often.
std::string Converter::text(const std::string& value) {
  text_ += value.size();
  if (text_ > kMostText) throw fail_("it holds too much text");
  return value;
}

}  // namespace

std::vector<std::int64_t> whole_numbers(Objects& objects, Object tuple, const Failure& fail) {
  std::vector<std::int64_t> numbers;
  for (const Object item :
       expect<Sequence>(objects, tuple, "a tuple of whole numbers", fail).items) {
    numbers.push_back(expect<std::int64_t>(objects, item, "a whole number", fail));
  }
  return numbers;
}

TorchValue finish(const Objects& objects, Object object, const Failure& fail) {
  return Converter(objects, fail).run(object);
}

}  // namespace cdm::pickle
