// SPDX-License-Identifier: MIT
// Pictures by gnuplot, which the setup installs.
#include <gmock/gmock.h>

#include <cstdlib>

#include "cdm/core/file.h"
#include "cdm/eval/plot.h"
#include "cdm/io/image.h"
#include "files.h"

namespace cdm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Plot : public test::FilesTest {};

TEST_F(Plot, DrawsSvgAndPngAndLeavesItsScript) {
  test::overwrite(folder_ / "it's.csv", "x,y\n1,2\n2,4\n3,8\n");
  plot(folder_ / "it's",
       "plot " + gnuplot_text("it's.csv") + " skip 1 using 1:2 with lines title 'y'\n", {320, 200});
  EXPECT_THAT(read_file(folder_ / "it's.svg"), HasSubstr("<svg"));
  EXPECT_THAT(read_file(folder_ / "it's.gp"), HasSubstr("using 1:2"));
  const at::Tensor picture = read_image(folder_ / "it's.png", 3);
  EXPECT_EQ(picture.sizes(), at::IntArrayRef({3, 200, 320}));
  EXPECT_LT(picture.min().item<int>(), 128);  // something is drawn on white
}

/// What plot() writes to stderr.
std::string warning_of(const std::filesystem::path& stem, const std::string& commands) {
  testing::internal::CaptureStderr();
  plot(stem, commands);
  return testing::internal::GetCapturedStderr();
}

TEST_F(Plot, WarnsWhereItsScriptIsWrongAndLeavesNoPicture) {
  test::overwrite(folder_ / "a.svg", "of other data");
  EXPECT_THAT(warning_of(folder_ / "a", "plot 'none.csv' using 1:2\n"),
              AllOf(HasSubstr("gnuplot failed"), HasSubstr("a.gp")));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "a.gp"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.svg"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.png"));
}

TEST_F(Plot, WithoutGnuplotTheScriptIsAll) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const std::string warning = warning_of(folder_ / "a", "plot x\n");
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(warning, HasSubstr("gnuplot is not installed"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "a.gp"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.svg"));
}

TEST(GnuplotText, DoublesQuotes) { EXPECT_EQ(gnuplot_text("it's"), "'it''s'"); }

}  // namespace
}  // namespace cdm
