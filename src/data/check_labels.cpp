// SPDX-License-Identifier: MIT
#include <ATen/core/Tensor.h>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "data/sources.h"

namespace cdm {

void check_labels(const std::string& file, const at::Tensor& labels, std::int64_t images,
                  std::int64_t classes, std::int64_t first) {
  if (labels.size(0) != images) {
    throw UserError(concat(file, ": has ", labels.size(0), " labels for ", images, " images"));
  }
  const auto* const values = labels.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < images; ++i) {
    if (values[i] < first || values[i] - first >= classes) {
      throw UserError(concat(file, ": label ", i, " is ", values[i], "; labels must be in ", first,
                             "..", first + classes - 1));
    }
  }
}

}  // namespace cdm
