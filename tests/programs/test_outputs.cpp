// SPDX-License-Identifier: MIT
// Files that programs write: closed descriptors, streams, links, and signals while they are
// written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <future>

#include "cdm/core/text.h"
#include "cdm/io/npy.h"
#include "messages.h"
#include "null_device.h"
#include "tiny_run.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::mentions;

class Outputs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = std::make_unique<test::TinyRun>();
    ASSERT_EQ(tiny_->train("plain", "run", {"train.iterations=1"}).exit_code, 0);
  }
  static void TearDownTestSuite() { tiny_.reset(); }

  /// Runs a line of the shell in the folder of the run, with the programs in $bin.
  static test::Finished shell(const std::string& line) {
    return tiny_->run("/bin/bash", {"-c", concat("bin='", CDM_BIN_DIR, "'; ", line)});
  }
  static std::string bytes(const std::string& file) { return test::read_text(*tiny_ / file); }

  inline static std::unique_ptr<test::TinyRun> tiny_;
};

TEST_F(Outputs, AreTheSameWithClosedDescriptors) {
  const std::string draw = "$bin/cdm-sample run -n 3 --steps 2 --seed 1 --batch 1 ";
  ASSERT_EQ(shell(draw + "--out a.npz --raw a.npy").exit_code, 0);
  ASSERT_NE(bytes("a.npz"), "");
  for (const std::string closed : {"2>&-", "0<&-", "0<&- 2>&-", "1>&-", "0<&- 1>&- 2>&-"}) {
    const test::Finished done = shell(draw + "--out b.npz --raw b.npy " + closed);
    // The names of the files are standard output: it is an error that they cannot be written.
    EXPECT_EQ(done.exit_code, closed.find("1>") == std::string::npos ? 0 : 1) << closed;
    EXPECT_TRUE(bytes("b.npz") == bytes("a.npz")) << closed;
    EXPECT_TRUE(bytes("b.npy") == bytes("a.npy")) << closed;
    fs::remove(*tiny_ / "b.npz");
    fs::remove(*tiny_ / "b.npy");
  }
}

TEST_F(Outputs, GoThroughStreamsAndLinks) {
  const std::string draw = "$bin/cdm-sample run -n 2 --steps 2 ";
  ASSERT_EQ(shell(draw + "--out s.npz --raw s.npy --grid s.png").exit_code, 0);
  const std::string device = test::null_device(tiny_->folder());
  if (device.empty()) GTEST_SKIP() << "no device can be made here";
  // A FIFO, a device, and a link; the settings beside --out need a file.
  ASSERT_EQ(::mkfifo((*tiny_ / "fifo").c_str(), 0600), 0);
  auto reader = std::async(std::launch::async, [&] { return bytes("fifo"); });
  fs::create_symlink("target.png", *tiny_ / "link.png");
  const test::Finished done = shell(draw + "--out fifo --grid link.png --raw " + device);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, "link.png\n");
  EXPECT_TRUE(reader.get() == bytes("s.npz"));
  EXPECT_TRUE(fs::is_fifo(*tiny_ / "fifo"));
  EXPECT_FALSE(fs::exists(*tiny_ / "fifo.json"));
  EXPECT_TRUE(fs::is_character_file(device));
  EXPECT_TRUE(fs::is_symlink(*tiny_ / "link.png"));
  EXPECT_TRUE(bytes("target.png") == bytes("s.png"));
  // Standard output: a pipe, and the end of a file.
  EXPECT_EQ(shell(draw + "--raw /dev/stdout | cat > piped.npy").exit_code, 0);
  EXPECT_TRUE(bytes("piped.npy") == bytes("s.npy"));
  EXPECT_EQ(shell("echo before > end; " + draw + "--raw /dev/stdout >> end").exit_code, 0);
  EXPECT_TRUE(bytes("end") == "before\n" + bytes("s.npy"));
  EXPECT_EQ(shell("$bin/cdm-nll run --limit 2 --out >(cat > piped.csv); wait $!").exit_code, 0);
  EXPECT_THAT(bytes("piped.csv"), testing::StartsWith("index,"));
}

TEST_F(Outputs, LeaveNoTemporaryFileWhenStopped) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    const auto before = tiny_->contents();
    test::Process drawing("cdm-sample", {*tiny_ / "run", "-n", "1000000", "--batch", "1", "--raw",
                                         *tiny_ / "stopped.npy", "--out", *tiny_ / "stopped.npz"});
    test::wait_until(
        [&] {
          const std::vector<std::string> names = test::names_in(tiny_->folder());
          return std::count_if(names.begin(), names.end(), [](const std::string& name) {
                   return name.find(".tmp-") != std::string::npos;
                 }) == 2;
        },
        "two temporary files");
    drawing.send(signal);
    EXPECT_EQ(drawing.wait().exit_code, 128 + signal);
    EXPECT_TRUE(tiny_->contents() == before) << "signal " << signal;
  }
}

TEST_F(Outputs, OfProgramsForOneProcessAreNotWrittenByAGroup) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> calls = {
      {"cdm-eval", {"levels", "run", "--out", "grouped"}},
      {"cdm-bench", {"plain.yaml"}},
      {"cdm-convert", {"run", "--out", "grouped.pth"}}};
  for (const auto& [program, arguments] : calls) {
    for (const auto& process : tiny_->start_group(2, program, arguments)) {
      const test::Finished done = process->wait();
      EXPECT_EQ(done.exit_code, 2) << program;
      EXPECT_THAT(done.err, mentions(program, "RANK = ", "WORLD_SIZE = 2"));
      EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    }
  }
  EXPECT_FALSE(fs::exists(*tiny_ / "grouped"));
  EXPECT_FALSE(fs::exists(*tiny_ / "grouped.pth"));
}

}  // namespace
}  // namespace cdm
