// SPDX-License-Identifier: MIT
#include "data/hold_out.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>

namespace cdm {
namespace {

std::uint64_t number_of(const std::string& name) {
  sha256_ctx hash;
  ::sha256_init(&hash);
  ::sha256_update(&hash, name.size(), reinterpret_cast<const std::uint8_t*>(name.data()));
  std::array<std::uint8_t, 8> bytes = {};
  ::sha256_digest(&hash, bytes.size(), bytes.data());
  std::uint64_t number = 0;
  for (const std::uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

}  // namespace

std::vector<bool> held_out(const std::vector<std::string>& names,
                           const std::vector<std::int64_t>& labels) {
  constexpr std::uint64_t kTenth = std::numeric_limits<std::uint64_t>::max() / 10;
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : names) numbers.push_back(number_of(name));
  std::vector<bool> held(names.size(), false);
  if (names.size() < 2) return held;

  std::map<std::int64_t, std::vector<std::size_t>> classes;
  for (std::size_t i = 0; i < names.size(); ++i) {
    held[i] = numbers[i] <= kTenth;
    classes[labels[i]].push_back(i);
  }
  const auto is_smaller = [&](std::size_t i, std::size_t j) { return numbers[i] < numbers[j]; };
  std::vector<std::size_t> of_larger_classes, all;
  for (const auto& [label, members] : classes) {
    all.insert(all.end(), members.begin(), members.end());
    if (members.size() > 1) {
      of_larger_classes.insert(of_larger_classes.end(), members.begin(), members.end());
    }
    if (std::all_of(members.begin(), members.end(), [&](std::size_t i) { return held[i]; })) {
      held[*std::max_element(members.begin(), members.end(), is_smaller)] = false;
    }
  }
  if (std::find(held.begin(), held.end(), true) == held.end()) {
    const auto& candidates = of_larger_classes.empty() ? all : of_larger_classes;
    held[*std::min_element(candidates.begin(), candidates.end(), is_smaller)] = true;
  }
  return held;
}

}  // namespace cdm
