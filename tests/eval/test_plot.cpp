// SPDX-License-Identifier: MIT
// Pictures by gnuplot, which the setup installs.
#include <gmock/gmock.h>

#include <cstdlib>

#include "cdm/core/file.h"
#include "cdm/eval/plot.h"
#include "cdm/io/image.h"
#include "files.h"
#include "process.h"

namespace cdm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Plot : public test::FilesTest {
 protected:
  /// plot(), and what it writes to stderr.
  std::string warning_of(const std::string& stem, const std::string& kind,
                         const std::vector<std::string>& arguments = {}) {
    testing::internal::CaptureStderr();
    plot(folder_ / stem, kind, arguments);
    return testing::internal::GetCapturedStderr();
  }
  bool exists(const std::string& file) { return std::filesystem::exists(folder_ / file); }
};

// What cdm-eval writes, in small, and what it asks for.
struct Kind {
  const char* name;
  const char* csv;
  std::vector<std::string> arguments;
  std::vector<std::int64_t> size;       // height, width
  std::vector<const char*> texts = {};  // in the picture
};

TEST_F(Plot, DrawsEveryKind) {
  const std::vector<std::int64_t> usual = {480, 720}, square = {560, 640};
  const std::vector<Kind> kinds = {
      {"agreement",
       "images,count,share_agreeing,standard_error\nfolder/a_b.npz,8,0.5,0.1\nreal images,9,1,0\n",
       {"2"},
       usual,
       {">a_b.npz<", ">real images<"}},
      {"calibration",
       "mean_confidence,accuracy,images\n0.1,0.2,10\n0.9,0.8,1000\n",
       {"A title: a_b"},
       usual,
       {">A title: a_b<"}},
      {"confusion",
       "true_level,decided_level,share\n0,0,1\n0,10,0\n10,0,0.25\n10,10,0.75\n",
       {"A title: a_b", "10", "2"},
       square,
       {">A title: a_b<", ">level decided<"}},
      {"curves",
       "image,noise_level,level,log_prob_nats\n0,0,0,3\n0,0,1,2\n1,0,0,4\n1,0,1,5\n0,10,0,6\n"
       "0,10,1,7\n1,10,0,8\n1,10,1,9\n",
       {"A title: a_b", "2", "1", "0 10"},
       usual,
       {">A title: a_b<", ">log p<", "gnuplot_plot_4"}},
      {"denoise",
       "run,level,steps,sigma,mse_noise,mse_image,psnr_db\na_b,1,10,0.1,0.5,1,\na_b,2,10,0.2,0.4,"
       "1,\nc,1,20,0.1,0.3,1,\nc,2,20,0.2,0.2,1,\n",
       {},
       usual,
       {">a_b<", ">c<"}},
      {"fid",
       "measure,value,deviation\nFD (a_b),12.5,\nKD (a_b),-0.01,0.1\nprecision,0.5,\nrecall,0,\n",
       {"A title: a_b"},
       usual,
       {">A title: a_b<", ">FD (a_b)<", ">12.5<", ">-0.01<"}},
      {"toy",
       "run,distribution,width,dimensions,images,exact,estimated,spread\na_b,uniform,1,4,9,0,0.1,"
       "0.2\n",
       {"1"},
       usual,
       {">a_b<"}},
      {"training",
       "run,step,seconds,unit,one_forward,standard_error,denoiser_bound,standard_error,gap,"
       "standard_error,run_directory\na_b,2,1.5,bits/dim,9.8,0.1,4.9,0.1,4.9,0.1,runs/a_b\n"
       "a_b,4,3,bits/dim,4.8,0.1,4.7,,0.1,,runs/a_b\nc,2,1,bits/dim,5,0.1,6,0.1,-1,0.1,runs/c\n",
       {"bits/dim"},
       {640, 960},
       {">a_b: one forward pass<", ">c: denoiser bound<", ">gap, bits/dim<",
        ">minutes of training<"}}};
  for (const Kind& kind : kinds) {
    const std::string name = kind.name;
    test::overwrite(folder_ / (name + ".csv"), kind.csv);
    EXPECT_EQ(warning_of(name, name, kind.arguments), "") << name;
    const std::string svg = read_file(folder_ / (name + ".svg"));
    for (const char* const text : kind.texts) EXPECT_THAT(svg, HasSubstr(text)) << name;
    const at::Tensor picture = read_image(folder_ / (name + ".png"), 3);
    EXPECT_EQ(picture.sizes().slice(1).vec(), kind.size) << name;
    EXPECT_LT(picture.min().item<int>(), 128) << name;  // something is drawn on white
  }
  // Each file of plots/ is one of them.
  std::size_t scripts = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(CDM_TEST_DATA) / "../plots")) {
    if (entry.path().extension() == ".gp") ++scripts;
  }
  EXPECT_EQ(scripts, kinds.size());
}

TEST_F(Plot, LeavesAScriptThatBeginsWithTheCommand) {
  const std::string title = "it's $HOME, \"so\"\nand `so`";
  test::overwrite(folder_ / "it's.csv", "mean_confidence,accuracy,images\n0.1,0.2,10\n0.9,0.9,9\n");
  EXPECT_EQ(warning_of("it's", "calibration", {title}), "");
  const std::string svg = read_file(folder_ / "it's.svg");
  EXPECT_THAT(svg, HasSubstr("it's $HOME, \"so\""));
  const std::string script = read_file(folder_ / "it's.gp");
  const std::string begin = "# This picture: ";
  ASSERT_THAT(script, StartsWith(begin));
  const std::string command = script.substr(begin.size(), script.find('\n') - begin.size());
  std::filesystem::remove(folder_ / "it's.svg");
  test::run_well("/bin/bash", {"-c", command}, {folder_.string(), {}});
  EXPECT_EQ(read_file(folder_ / "it's.svg"), svg);
}

TEST_F(Plot, WarnsWhereGnuplotFailsAndLeavesNoPicture) {
  test::overwrite(folder_ / "a.svg", "of other data");
  EXPECT_THAT(warning_of("a", "toy", {"1"}),
              testing::AllOf(HasSubstr("gnuplot failed"), HasSubstr("a.gp")));
  EXPECT_TRUE(exists("a.gp"));
  EXPECT_FALSE(exists("a.svg"));
  EXPECT_FALSE(exists("a.png"));
}

TEST_F(Plot, ShowsNoWarningsOfGnuplotThatDrew) {
  // With one value, gnuplot warns of an empty range, and draws.
  test::overwrite(folder_ / "a.csv", "run,level,steps,sigma,mse_noise\na,1,10,0.1,0.5\n");
  EXPECT_EQ(warning_of("a", "denoise"), "");
  EXPECT_TRUE(exists("a.png"));
}

TEST_F(Plot, WithoutGnuplotTheScriptIsAll) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const std::string warning = warning_of("a", "toy", {"1"});
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(warning, HasSubstr("gnuplot is not installed"));
  EXPECT_TRUE(exists("a.gp"));
  EXPECT_FALSE(exists("a.svg"));
}

TEST_F(Plot, RefusesAKindWithoutAScript) {
  EXPECT_THROW(plot(folder_ / "a", "none"), std::logic_error);
  EXPECT_FALSE(exists("a.gp"));
}

}  // namespace
}  // namespace cdm
