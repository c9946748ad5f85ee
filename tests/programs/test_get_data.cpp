// SPDX-License-Identifier: MIT
// tools/get_data.sh against a server on the loopback (tests/python/serve_ranges.py), with small
// files in place of the real ones and their checksums in place of the real ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cdm/core/text.h"
#include "messages.h"
#include "process.h"

namespace cdm::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const fs::path kProject = fs::path(CDM_TEST_DATA) / "..";
const std::vector<std::string> kIdx = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                       "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};

class GetData : public testing::Test {
 protected:
  GetData() {
    fs::create_directories(served_);
    fs::create_directories(folder_ / "tools");
    fs::copy(kProject / "tools" / "get_data.sh", folder_ / "tools");
    std::string sums;
    for (const std::string& file : kIdx) {
      write_text(served_ / file, file + std::string(5000, 'x'));
      const std::string sum = run_well("/usr/bin/md5sum", {(served_ / file).string()});
      sums += sum.substr(0, 32) + "  fashion_mnist/" + file + "\n";
    }
    write_text(folder_ / "tools/get_data.md5", sums);
  }

  void serve(const std::vector<std::string>& options = {}) {
    std::vector<std::string> words = {
        "python3", (kProject / "tests" / "python" / "serve_ranges.py").string(), served_.string()};
    words.insert(words.end(), options.begin(), options.end());
    server_ = std::make_unique<Process>("/usr/bin/env", words);
    for (int i = 0; i < 300 && server_->out().find('\n') == std::string::npos; ++i) {
      ::usleep(100'000);
    }
    address_ = "http://127.0.0.1:" + first_line(server_->out());
  }

  Finished get(const std::string& kind = "fashion_mnist") const {
    return run((folder_ / "tools/get_data.sh"), {"--from", address_, kind, target_.string()});
  }
  /// Whether all files are there, and nothing else.
  void expect_complete() const {
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(target_)) {
      EXPECT_EQ(read_text(entry.path()), read_text(served_ / entry.path().filename()));
      ++files;
    }
    EXPECT_EQ(files, kIdx.size());
  }

  TemporaryFolder folder_;
  fs::path served_ = folder_ / "served", target_ = folder_ / "target";
  std::string address_ = "http://127.0.0.1:1";  // where nobody answers
  std::unique_ptr<Process> server_;
};

TEST_F(GetData, FetchesOnceAndPrintsTheLineForAConfiguration) {
  serve();
  const Finished first = get();
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, concat("data: {kind: fashion_mnist, path: \"", target_.string(), "\"}\n"));
  EXPECT_THAT(first.err, mentions("Fashion-MNIST", "MIT"));
  expect_complete();
  const std::string asked = server_->err();
  const Finished second = get();
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(server_->err(), asked) << "fetched again";
}

TEST_F(GetData, GoesOnWhereADownloadWasCut) {
  serve({"--cut", "1000"});
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_complete();
  EXPECT_THAT(server_->err(),
              mentions("/train-images-idx3-ubyte.gz 0\n", "/train-images-idx3-ubyte.gz 1000\n"));
}

TEST_F(GetData, GoesOnWithWhatAnEarlierCallLeft) {
  fs::create_directories(target_);
  write_text(target_ / (kIdx[0] + ".part"), read_text(served_ / kIdx[0]).substr(0, 777));
  // This one is complete, but the earlier call ended before it was checked.
  write_text(target_ / (kIdx[1] + ".part"), read_text(served_ / kIdx[1]));
  serve();
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_complete();
  EXPECT_THAT(server_->err(), HasSubstr("/" + kIdx[0] + " 777\n"));
  EXPECT_THAT(server_->err(), Not(HasSubstr("/" + kIdx[1])));
}

TEST_F(GetData, BeginsAgainWhereTheServerCannotGoOn) {
  serve({"--cut", "1000", "--no-ranges"});
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 0) << done.err;
  expect_complete();
}

TEST_F(GetData, RemovesAFileOfAnotherChecksum) {
  write_text(served_ / kIdx[1], "another file");
  serve();
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(done.out, "");
  EXPECT_THAT(done.err, mentions(address_, kIdx[1], "wrong checksum", "removed"));
  EXPECT_TRUE(fs::exists(target_ / kIdx[0]));
  EXPECT_FALSE(fs::exists(target_ / kIdx[1]));
  EXPECT_FALSE(fs::exists(target_ / (kIdx[1] + ".part")));
}

TEST_F(GetData, KeepsAFileThatItDidNotFetch) {
  fs::create_directories(target_);
  write_text(target_ / kIdx[0], "mine");
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions((target_ / kIdx[0]).string(), "another checksum"));
  EXPECT_EQ(read_text(target_ / kIdx[0]), "mine");
}

TEST_F(GetData, SaysWhatIsNotThere) {
  fs::remove(served_ / kIdx[0]);
  serve();
  const Finished done = get();
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, mentions(kIdx[0], "does not have it"));
}

TEST_F(GetData, UnpacksAnArchiveWhole) {
  const std::string name = "cifar-10-batches-bin", archive = "cifar-10-binary.tar.gz";
  fs::create_directories(served_ / name);
  write_text(served_ / name / "test_batch.bin", std::string(3073, '\1'));
  run_well("/usr/bin/env", {"tar", "-czf", archive, name}, {served_.string(), {}});
  const std::string sum = run_well("/usr/bin/md5sum", {(served_ / archive).string()});
  write_text(folder_ / "tools/get_data.md5", sum.substr(0, 32) + "  " + archive + "\n");
  serve();
  for (int time = 0; time < 2; ++time) {
    const Finished done = get("cifar10");
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_THAT(done.out, mentions("kind: cifar10", target_.string()));
    EXPECT_TRUE(fs::exists(target_ / name / "test_batch.bin"));
    EXPECT_EQ(std::distance(fs::directory_iterator(target_), fs::directory_iterator()), 1);
  }
}

TEST_F(GetData, ChecksCelebAThatWasDownloadedByHand) {
  const Finished nothing = get("celeba");
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_EQ(nothing.out, "");
  EXPECT_THAT(nothing.err, mentions("non-commercial", "img_align_celeba.zip",
                                    "list_eval_partition.txt", target_.string()));
  fs::create_directories(target_ / "img_align_celeba");
  write_text(target_ / "list_eval_partition.txt", "000001.jpg 0\n");
  const std::string sum =
      run_well("/usr/bin/md5sum", {(target_ / "list_eval_partition.txt").string()});
  write_text(folder_ / "tools/get_data.md5",
             sum.substr(0, 32) + "  celeba/list_eval_partition.txt\n");
  const Finished complete = get("celeba");
  EXPECT_EQ(complete.exit_code, 0) << complete.err;
  EXPECT_THAT(complete.out, mentions("kind: celeba", target_.string()));
  write_text(target_ / "list_eval_partition.txt", "<html>");
  const Finished wrong = get("celeba");
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, mentions("list_eval_partition.txt", "wrong checksum"));
}

TEST_F(GetData, RefusesWrongCalls) {
  const std::string script = folder_ / "tools/get_data.sh";
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"imagenet"}, {"mnist", ""}, {"mnist", "a", "b"}, {"--from"}}) {
    const Finished done = run(script, words, {folder_.path().string(), {}});
    EXPECT_EQ(done.exit_code, 2);
    EXPECT_THAT(done.err, HasSubstr("usage:"));
  }
}

// The real script knows a checksum for every file that it fetches.
TEST(GetDataChecksums, AreThereForEveryFile) {
  const std::string sums = read_text(kProject / "tools" / "get_data.md5");
  for (const char* kind : {"mnist/", "fashion_mnist/"}) {
    for (const std::string& file : kIdx) EXPECT_THAT(sums, HasSubstr("  " + (kind + file) + "\n"));
  }
  for (const char* file : {"cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz",
                           "celeba/img_align_celeba.zip", "celeba/list_eval_partition.txt"}) {
    EXPECT_THAT(sums, HasSubstr(concat("  ", file, "\n")));
  }
}

}  // namespace
}  // namespace cdm::test
