// SPDX-License-Identifier: MIT
#include "cdm/data/toy.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"
#include "data/toy_kinds.h"

namespace cdm {

RandomStream toy_stream(Purpose purpose, Split split) {
  constexpr std::uint64_t kSeed = 0x746f79;
  return {kSeed, purpose, split == Split::train ? 0u : 1u};
}

std::vector<std::int64_t> toy_shape(const DataConfig& config, std::int64_t count) {
  return {count, config.channels, config.image_size, config.image_size};
}

at::Tensor normal_log_prob(const at::Tensor& rows, double width) {
  const auto d = static_cast<double>(rows.size(1));
  return rows.square().sum(1).mul(-0.5 / (width * width)) -
         d * (std::log(width) + 0.5 * std::log(2.0 * std::numbers::pi));
}

std::unique_ptr<ToyDensity> make_toy_density(const DataConfig& config) {
  for (const auto& [key, value] : {std::pair("data.image_size", config.image_size),
                                   std::pair("data.channels", config.channels)}) {
    if (value == 0) throw UserError(concat(key, " = 0: data.kind = toy needs it"));
  }
  switch (config.toy) {
    case ToyKind::uniform:
      return make_toy_uniform(config);
    case ToyKind::gaussian:
      return make_toy_gaussian(config);
    case ToyKind::peaks:
      return make_toy_peaks(config);
  }
  TORCH_CHECK(false, "no such toy density");
}

Dataset read_toy(const DataConfig& config, Split split) {
  const std::int64_t count =
      split == Split::train ? config.toy_images : std::max<std::int64_t>(1, config.toy_images / 5);
  Dataset dataset;
  dataset.images = make_toy_density(config)->sample(count, split);
  return dataset;
}

}  // namespace cdm
