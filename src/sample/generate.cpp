// SPDX-License-Identifier: MIT
#include "cdm/sample/generate.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "cdm/core/for_each_batch.h"

namespace cdm {

at::Tensor classes_of_images(const std::vector<std::int64_t>& classes, std::int64_t first,
                             std::int64_t count) {
  if (classes.empty()) return {};
  std::vector<std::int64_t> labels;
  for (std::int64_t i = first; i < first + count; ++i) {
    labels.push_back(classes[static_cast<std::size_t>(i) % classes.size()]);
  }
  return at::tensor(labels, at::kLong);
}

void generate(const Model& model, const SampleConfig& config, const GenerateOptions& options,
              const std::function<void(const at::Tensor&)>& take,
              const std::function<void(std::int64_t first, const SampleStep&)>& on_step,
              const ProcessGroup& group) {
  const NetworkShape& shape = model.network().shape();
  const at::TensorOptions network = model.network().options();
  const auto size_of_batch = [&](std::int64_t first) {
    return std::min(options.batch_size, options.count - first);
  };
  const auto draw_batch = [&](std::int64_t first, std::int64_t count) {
    const std::int64_t number = options.first_image + first;
    const at::Tensor like =
        at::empty({count, shape.channels, shape.image_size, shape.image_size}, network);
    const at::Tensor x_T = options.start.defined()
                               ? options.start.narrow(0, first, count).to(like.options())
                               : start_noise(options.seed, number, like);
    SampleDraws draws = {options.seed, number};
    if (options.draws.defined()) {
      draws.noise = [&, first, count](std::int64_t step) {
        return options.draws[step].narrow(0, first, count).to(like.options());
      };
    }
    at::Tensor labels = classes_of_images(options.classes, number, count);
    if (labels.defined()) labels = labels.to(like.device());
    const at::Tensor images =
        sample(model, config, x_T, labels, draws, [&](const SampleStep& step) {
          if (on_step) on_step(first, step);
        });
    if (!group.is_first()) {
      group.send(images.to(at::kCPU), 0);
      return;
    }
    take(images);
    // The next batches come from the other processes.
    for (int rank = 1; rank < group.size(); ++rank) {
      const std::int64_t next = first + rank * options.batch_size;
      if (next >= options.count) break;
      const at::Tensor received =
          at::empty({size_of_batch(next), shape.channels, shape.image_size, shape.image_size},
                    network.device(at::kCPU));
      group.receive(received, rank);
      take(received);
    }
  };
  for_each_batch(options.count, options.batch_size, draw_batch, group.rank(), group.size());
}

}  // namespace cdm
