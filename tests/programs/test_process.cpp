// SPDX-License-Identifier: MIT
// The helper that other tests run programs with.
#include <gmock/gmock.h>

#include "process.h"

namespace cdm::test {
namespace {

TEST(Process, ReportsWhatAProgramDid) {
  const TemporaryFolder folder;
  const Finished done = run("/bin/sh", {"-c", "pwd; echo \"$WORD $PATH\" >&2; exit 3"},
                            {folder.path().string(), {"WORD=two words", "PATH=/nowhere"}});
  EXPECT_EQ(done.exit_code, 3);
  EXPECT_EQ(done.out, folder.path().string() + "\n");
  EXPECT_EQ(done.err, "two words /nowhere\n");
  EXPECT_THROW(run("/no/such/program", {}), std::runtime_error);
}

TEST(Process, SendsSignals) {
  Process process("/bin/sh", {"-c", "echo ready; exec sleep 1000"});
  while (process.out().empty()) ::usleep(1000);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 128 + SIGTERM);
}

TEST(Process, RunsOurPrograms) {
  EXPECT_THAT(run_well("cdm-train", {"--version"}), testing::HasSubstr("cdm"));
  EXPECT_EQ(run("cdm-train", {"--nonsense"}).exit_code, 2);
}

TEST(TemporaryFolder, GoesWithItsObject) {
  std::filesystem::path path;
  {
    const TemporaryFolder folder;
    path = folder.path();
    write_text(folder / "file", "text");
    EXPECT_EQ(read_text(folder / "file"), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace cdm::test
