// SPDX-License-Identifier: MIT
// Draws any number of images from a model, batch by batch, with one or several processes.
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
  std::int64_t first_image = 0;  // images first_image, first_image + 1, ... of the seed are drawn
  std::uint64_t seed = 0;        // image i of a seed is the same in every call
  std::vector<std::int64_t> classes;  // image i has class classes[i % size]; empty = no classes
  at::Tensor start;                   // x_T, [count, C, H, W]; undefined = drawn
  at::Tensor draws;                   // noise of the steps, [steps, count, C, H, W]; undefined =
                                      // drawn
};

/// The classes of images first .. first + count - 1: int64 [count], undefined when `classes` is
/// empty.
at::Tensor classes_of_images(const std::vector<std::int64_t>& classes, std::int64_t first,
                             std::int64_t count);

/// Draws options.count images. `take` receives them in order, batch by batch: [b, C, H, W] in the
/// network's type, not clamped, on the network's device or the CPU. `on_step` is called after each
/// step of each batch; `first` is the position of the batch's first image in 0..count-1.
///
/// The processes of `group` draw batches in turn. `take` is called only in the process of rank 0,
/// with all images; `on_step` is called in each process for its own batches. The images do not
/// depend on which process draws them. Throws UserError as check_sampling() does.
void generate(const Model& model, const SampleConfig& config, const GenerateOptions& options,
              const std::function<void(const at::Tensor&)>& take,
              const std::function<void(std::int64_t first, const SampleStep&)>& on_step = {},
              const ProcessGroup& group = ProcessGroup::alone());

}  // namespace cdm
