// SPDX-License-Identifier: MIT
#include "cdm/data/classes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::size_t kListed = 10;  // classes that a message lists

std::vector<std::string> all_quoted(const std::vector<std::string>& names) {
  std::vector<std::string> words;
  for (const std::string& name : names) words.push_back(in_quotes(name));
  return words;
}

/// The position of `name` in `names`; -1 when it is not there.
std::int64_t position(const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : found - names.begin();
}

/// The names in `names` that are not in `others`, in quotes.
std::vector<std::string> missing_in(const std::vector<std::string>& others,
                                    const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (position(name, others) < 0) missing.push_back(in_quotes(name));
  }
  return missing;
}

/// The number in `text` if it is a whole number below `limit`; otherwise -1.
std::int64_t number_below(std::int64_t limit, std::string_view text) {
  const std::int64_t number = whole_number(text).value_or(-1);
  return number >= 0 && number < limit ? number : -1;
}

}  // namespace

Dataset with_classes(Dataset dataset, const std::vector<std::string>& names) {
  if (names.empty() || !dataset.labels.defined()) return dataset;
  if (dataset.class_names.empty()) {
    dataset.class_names = names;
    return dataset;
  }
  if (dataset.class_names == names) return dataset;
  const auto classes = static_cast<std::int64_t>(dataset.class_names.size());
  const at::Tensor counts = at::bincount(dataset.labels, /*weights=*/{}, classes);
  std::vector<std::int64_t> numbers;
  std::vector<std::string> unknown;
  for (std::int64_t i = 0; i < classes; ++i) {
    const std::string& name = dataset.class_names[static_cast<std::size_t>(i)];
    numbers.push_back(position(name, names));
    if (numbers.back() < 0 && counts[i].item<std::int64_t>() > 0)
      unknown.push_back(in_quotes(name));
  }
  if (!unknown.empty()) {
    throw UserError(concat(dataset.description, ": has classes that the model does not know: ",
                           list_some(unknown, kListed), "; the model's are ",
                           list_some(all_quoted(names), kListed)));
  }
  dataset.labels = at::tensor(numbers, at::kLong).index_select(0, dataset.labels);
  dataset.class_names = names;
  return dataset;
}

Dataset load_classes(const RunConfig& config, Split split) {
  return with_classes(load_dataset(config.data, split), config.model.class_names);
}

void require_same_classes(const Dataset& dataset, const std::vector<std::string>& names,
                          const std::string& of_whom) {
  if (dataset.class_names.empty()) return;
  const std::vector<std::string> missing = missing_in(dataset.class_names, names);
  const std::vector<std::string> unknown = missing_in(names, dataset.class_names);
  if (missing.empty() && unknown.empty()) return;
  throw UserError(concat(dataset.description, ": its classes are not those of ", of_whom,
                         missing.empty() ? "" : concat("; missing: ", list_some(missing, kListed)),
                         unknown.empty() ? "" : concat("; new: ", list_some(unknown, kListed))));
}

std::vector<std::int64_t> classes_without_images(const Dataset& dataset, std::int64_t classes) {
  const at::Tensor counts = at::bincount(dataset.labels, /*weights=*/{}, classes);
  std::vector<std::int64_t> empty;
  for (std::int64_t i = 0; i < classes; ++i) {
    if (counts[i].item<std::int64_t>() == 0) empty.push_back(i);
  }
  return empty;
}

std::vector<std::string> class_words(const std::string& list,
                                     const std::vector<std::string>& names) {
  constexpr std::string_view kName = "name:";
  const bool only_name = list.starts_with(kName);
  const bool is_name = position(only_name ? list.substr(kName.size()) : list, names) >= 0;
  std::vector<std::string> words;
  std::istringstream parts(list + ",");
  for (std::string part; std::getline(parts, part, ',');) words.push_back(part);
  if (!is_name || words.size() == 1) return words;
  const bool is_list = !only_name && std::all_of(words.begin(), words.end(), [&](const auto& word) {
    return position(word, names) >= 0;
  });
  if (is_list) {
    throw UserError(concat("--class ", printable(list), ": is the name of a class, and a list of ",
                           words.size(), " classes; say name:", printable(list),
                           ", or their numbers"));
  }
  return {list};
}

std::int64_t class_number(const std::string& option, const std::string& word, std::int64_t classes,
                          const std::vector<std::string>& names) {
  constexpr std::string_view kNumber = "number:", kName = "name:";
  const bool only_name = word.starts_with(kName);
  const bool only_number = word.starts_with(kNumber);
  const std::string text = word.substr(only_name ? kName.size() : only_number ? kNumber.size() : 0);
  const std::int64_t named = only_number ? -1 : position(text, names);
  const std::int64_t number = only_name ? -1 : number_below(classes, text);
  if (named >= 0 && number >= 0 && named != number) {
    const std::string& other = names[static_cast<std::size_t>(number)];
    throw UserError(concat(option, word, ": is the name of class ", named,
                           ", and the number of class ", in_quotes(other), "; say name:", text,
                           " or number:", text));
  }
  if (named >= 0 || number >= 0) return std::max(named, number);
  throw UserError(
      concat(option, printable(word), ": must be in 0..", classes - 1, ", the model's classes",
             names.empty() ? "" : concat(", or one of ", list_some(all_quoted(names), kListed))));
}

std::string list_classes(const std::vector<std::string>& names) {
  std::vector<std::string> words;
  for (const std::string& name : names) {
    words.push_back(concat(words.size(), " ", printable(name)));
  }
  return list_some(words, kListed);
}

}  // namespace cdm
