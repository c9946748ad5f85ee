// SPDX-License-Identifier: MIT
#include "cdm/data/subset.h"

#include <ATen/ops/arange.h>

#include <string>
#include <utility>
#include <vector>

namespace cdm {

at::Tensor spread_indices(std::int64_t size, std::int64_t count) {
  if (count == 0 || count >= size) return at::arange(size, at::kLong);
  return at::arange(count, at::kLong).mul_(size).div_(count, "floor");
}

Dataset subset(Dataset dataset, const at::Tensor& numbers) {
  dataset.images = dataset.images.index_select(0, numbers);
  if (dataset.labels.defined()) dataset.labels = dataset.labels.index_select(0, numbers);
  if (!dataset.file_names.empty()) {
    const auto* const number = numbers.const_data_ptr<std::int64_t>();
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < numbers.size(0); ++i) {
      names.push_back(dataset.file_names.at(static_cast<std::size_t>(number[i])));
    }
    dataset.file_names = std::move(names);
  }
  return dataset;
}

Dataset spread_subset(Dataset dataset, std::int64_t count) {
  if (count == 0 || count >= dataset.size()) return dataset;  // no copy is needed
  const at::Tensor numbers = spread_indices(dataset.size(), count);
  return subset(std::move(dataset), numbers);
}

}  // namespace cdm
