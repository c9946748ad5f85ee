// SPDX-License-Identifier: MIT
// The toy densities, each in a file of its own, and what they share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "cdm/data/toy.h"
#include "cdm/device/random.h"

namespace cdm {

std::unique_ptr<ToyDensity> make_toy_uniform(const DataConfig& config);
std::unique_ptr<ToyDensity> make_toy_gaussian(const DataConfig& config);
std::unique_ptr<ToyDensity> make_toy_peaks(const DataConfig& config);

/// Where the random numbers of a split come from; not from the run's seed.
RandomStream toy_stream(Purpose purpose, Split split);

/// [count, C, H, W].
std::vector<std::int64_t> toy_shape(const DataConfig& config, std::int64_t count);

/// log N(x; 0, width^2 I) of rows [N, d], in nats: [N].
at::Tensor normal_log_prob(const at::Tensor& rows, double width);

}  // namespace cdm
