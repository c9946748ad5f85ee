// SPDX-License-Identifier: MIT
#include "cdm/eval/neighbours.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/one_hot.h>
#include <c10/util/Exception.h>

#include <vector>

#include "cdm/core/for_each_batch.h"

namespace cdm {

at::Tensor nearest_class(const at::Tensor& queries, const at::Tensor& images,
                         const at::Tensor& labels, std::int64_t k) {
  TORCH_CHECK(k >= 1 && k <= images.size(0), k, " neighbours of ", images.size(0), " images");
  constexpr std::int64_t kAtOnce = 256;  // queries per block, whose distances are [256, M]
  const std::int64_t classes = labels.max().item<std::int64_t>() + 1;
  const at::Tensor norms = images.square().sum(1);
  std::vector<at::Tensor> decided;
  for_each_batch(queries.size(0), kAtOnce, [&](std::int64_t first, std::int64_t count) {
    const at::Tensor block = queries.narrow(0, first, count);
    // The squared distance without |query|^2, which is the same for all images.
    const at::Tensor distances = norms - 2.0 * block.mm(images.t());
    const at::Tensor nearest = std::get<1>(distances.topk(k, 1, /*largest=*/false));
    const at::Tensor votes =
        at::one_hot(labels.index_select(0, nearest.flatten()), classes).view({-1, k, classes});
    decided.push_back(votes.sum(1).argmax(1));
  });
  return at::cat(decided);
}

}  // namespace cdm
