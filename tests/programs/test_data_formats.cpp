// SPDX-License-Identifier: MIT
// Programs on data sets as people have them: a run that is trained on an archive of pictures, and
// scores archives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tiny_run.h"

namespace cdm::test {
namespace {

const std::filesystem::path kMade = std::filesystem::path(CDM_TEST_DATA) / "data";

/// What cdm-nll prints about a data set, without the line that names it.
std::string scores(const TinyRun& tiny, const std::string& data) {
  const std::string out = tiny.run_well("cdm-nll", {"run", "--data", data, "--split", "test"});
  EXPECT_THAT(out, testing::StartsWith("data image_archive test split in " + data));
  return out.substr(out.find('\n'));
}

TEST(DataFormats, ProgramsReadArchives) {
  const TinyRun tiny;
  const std::string zip = (kMade / "archives" / "edm.zip").string();
  const std::string shards = (kMade / "archives" / "shard-{00..01}.tar").string();
  const Finished trained =
      tiny.train("tiny", "run",
                 {"data.kind=image_archive", "data.path=" + zip, "data.test_path=" + shards,
                  "data.image_size=4", "data.channels=3", "model.num_classes=8",
                  "train.iterations=2", "train.batch_size=4", "train.nll_every=2"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  // The two hold the same pictures and labels.
  const std::string of_zip = scores(tiny, zip), of_shards = scores(tiny, shards);
  EXPECT_THAT(of_zip, testing::HasSubstr("bits_per_dim"));
  EXPECT_EQ(of_zip, of_shards);
}

}  // namespace
}  // namespace cdm::test
