// SPDX-License-Identifier: MIT
#include "cdm/eval/neighbours.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/one_hot.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

namespace cdm {

at::Tensor nearest_class(const at::Tensor& queries, const at::Tensor& images,
                         const at::Tensor& labels, std::int64_t k) {
  TORCH_CHECK(k >= 1 && k <= images.size(0), k, " neighbours of ", images.size(0), " images");
  constexpr std::int64_t kAtOnce = 256;  // queries: a block of distances is [256, M]
  const std::int64_t classes = labels.max().item<std::int64_t>() + 1;
  const at::Tensor norms = images.square().sum(1);
  std::vector<at::Tensor> decided;
  for (std::int64_t first = 0; first < queries.size(0); first += kAtOnce) {
    const at::Tensor block = queries.narrow(0, first, std::min(kAtOnce, queries.size(0) - first));
    // The square of the distance, less what all images have in common.
    const at::Tensor distances = norms - 2.0 * block.mm(images.t());
    const at::Tensor nearest = std::get<1>(distances.topk(k, 1, /*largest=*/false));
    const at::Tensor votes =
        at::one_hot(labels.index_select(0, nearest.flatten()), classes).view({-1, k, classes});
    decided.push_back(votes.sum(1).argmax(1));
  }
  return at::cat(decided);
}

}  // namespace cdm
