// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cdm/core/version.h"

namespace cdm {
namespace {

TEST(Version, TextNamesEverythingThatWasBuiltWith) {
  EXPECT_THAT(version_text(), testing::MatchesRegex("cdm [0-9]+\\.[0-9]+\\.[0-9]+\n"
                                                    "revision ([0-9a-f]+(-dirty)?|unknown)\n"
                                                    "LibTorch 2\\.[0-9]+\\.[0-9]+\n"
                                                    "CUDA (none|[0-9].*)"));
  EXPECT_THAT(version_text(), testing::HasSubstr(revision()));
}

}  // namespace
}  // namespace cdm
