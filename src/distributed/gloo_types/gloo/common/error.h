// SPDX-License-Identifier: MIT
// Empty: LibTorch's ProcessGroupGloo.hpp includes this file but uses nothing of it. See
// ../context.h.
#pragma once
