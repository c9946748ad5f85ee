// SPDX-License-Identifier: MIT
// The only file that includes revision.h, so that a new revision recompiles this file alone.
#include "cdm/core/version.h"

#include "revision.h"

namespace cdm {

std::string version_text() {
  return "cdm " CDM_VERSION "\nrevision " CDM_REVISION "\nLibTorch " CDM_LIBTORCH_VERSION
         "\nCUDA " CDM_CUDA_TEXT;
}

std::string revision() { return CDM_REVISION; }

}  // namespace cdm
