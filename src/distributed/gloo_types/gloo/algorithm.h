// SPDX-License-Identifier: MIT
// Empty: torch's ProcessGroupGloo.hpp includes it and needs nothing of it. See context.h.
#pragma once
