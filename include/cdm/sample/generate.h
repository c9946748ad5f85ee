// SPDX-License-Identifier: MIT
// Any number of images, batch by batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/diffusion/model.h"
#include "cdm/distributed/process_group.h"
#include "cdm/sample/sample.h"

namespace cdm {

struct GenerateOptions {
  std::int64_t count = 64;
  std::int64_t batch_size = 64;
  std::int64_t first_image = 0;  // number of the first image: image i of a seed is always the same
  std::uint64_t seed = 0;
  std::vector<std::int64_t> classes;  // used in turn, image i has classes[i % size]; empty = none
  at::Tensor start;                   // [count, C, H, W], x_T given from outside; or undefined
  at::Tensor draws;                   // [steps, count, C, H, W], each step's noise; or undefined
};

/// The class of image i, int64 [count] for images first .. first + count - 1; undefined when
/// `classes` is empty.
at::Tensor classes_of_images(const std::vector<std::int64_t>& classes, std::int64_t first,
                             std::int64_t count);

/// Calls `take` with images [b, C, H, W] (in the network's type, unclamped, on its device or the
/// CPU) in order, and `on_step` after each step of each batch with the number of its first image,
/// counted from 0. The processes of `group` take batches in turn: in each, `on_step` sees its own
/// ones; `take` is called by that of rank 0 alone, with all. A batch is the same whoever draws it.
void generate(const Model& model, const SampleConfig& config, const GenerateOptions& options,
              const std::function<void(const at::Tensor&)>& take,
              const std::function<void(std::int64_t first, const SampleStep&)>& on_step = {},
              const ProcessGroup& group = ProcessGroup::alone());

}  // namespace cdm
