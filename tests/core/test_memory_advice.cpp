// SPDX-License-Identifier: MIT
// A batch that does not fit, against a device made up here: so much memory, so much per image.
#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "cdm/device/memory_advice.h"
#include "messages.h"

namespace cdm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A device that holds `most` bytes, `fixed` of them in use; an image takes `image` bytes.
class FakeDevice {
 public:
  FakeDevice(std::int64_t most, std::int64_t fixed, std::int64_t image)
      : most_(most), fixed_(fixed), image_(image) {}

  /// The work of so many images.
  void work(std::int64_t images) {
    if (fixed_ + images * image_ > most_) {
      throw c10::OutOfMemoryError({__func__, __FILE__, 1}, "CUDA out of memory.\nTried 1 GiB");
    }
    peak_ = fixed_ + images * image_;
  }
  MemoryMeter meter() {
    return {[this] { peak_ = fixed_; }, [this] { return MemoryUse{fixed_, peak_, most_}; }};
  }
  /// The message of the error; empty when the batch fits.
  std::string explained(std::int64_t batch, const MemoryMeter& meter) {
    try {
      explain_memory(
          {"--batch", batch}, meter, [&] { work(batch); },
          [&](std::int64_t images) {
            trials_.push_back(images);
            work(images);
          });
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  const std::vector<std::int64_t>& trials() const { return trials_; }

 private:
  std::int64_t most_, fixed_, image_;
  std::int64_t peak_ = 0;
  std::vector<std::int64_t> trials_;
};

TEST(MemoryAdvice, RunsAgainWhereRoomCanBeMade) {
  int runs = 0;
  const auto run_that_fails = [&](int times, bool frees) {
    runs = 0;
    return run_with_room(
        [&] {
          if (++runs <= times) throw std::bad_alloc();
        },
        [&] { return frees; });
  };
  EXPECT_FALSE(run_that_fails(0, true));
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(run_that_fails(1, true));
  EXPECT_EQ(runs, 2);
  EXPECT_THROW(run_that_fails(2, true), std::bad_alloc);
  EXPECT_EQ(runs, 2);
  EXPECT_THROW(run_that_fails(1, false), std::bad_alloc);
  EXPECT_EQ(runs, 1);
  bool asked = false;
  const auto other_error = [] { throw std::runtime_error("a wrong file"); };
  EXPECT_THROW(run_with_room(other_error, [&] { return asked = true; }), std::runtime_error);
  EXPECT_FALSE(asked);
}

TEST(MemoryAdvice, SaysNothingWhereABatchFits) {
  FakeDevice device(1000, 100, 9);
  EXPECT_EQ(device.explained(100, device.meter()), "");
  EXPECT_THAT(device.trials(), ElementsAre());
}

TEST(MemoryAdvice, EstimatesTheLargestBatchFromTheMemoryOfAnImage) {
  FakeDevice device(1000, 100, 9);
  EXPECT_THAT(device.explained(1024, device.meter()),
              test::mentions("out of memory", "--batch = 1024", "about 100 images"));
  EXPECT_THAT(device.trials(), ElementsAre(512, 256, 128, 64));
}

TEST(MemoryAdvice, NeverNamesTheBatchThatFailed) {
  // Memory in pieces: by what 2 images took, 5 would fit, and did not.
  const MemoryMeter meter = {[] {}, [] { return MemoryUse{0, 20, 50}; }};
  FakeDevice device(40, 0, 10);
  EXPECT_THAT(device.explained(5, meter), HasSubstr("about 4 images"));
}

TEST(MemoryAdvice, NamesWhatWasTriedWhereTheDeviceTellsNothing) {
  FakeDevice device(1000, 100, 9);
  EXPECT_THAT(device.explained(1024, memory_meter(at::kCPU)), HasSubstr("about 64 images"));
}

TEST(MemoryAdvice, SaysWhenNotEvenOneImageFits) {
  FakeDevice device(1000, 999, 9);
  EXPECT_THAT(device.explained(4, device.meter()), test::mentions("--batch = 4", "not even one"));
  EXPECT_THAT(device.trials(), ElementsAre(2, 1));
}

TEST(MemoryAdvice, LeavesOtherErrorsAlone) {
  const auto run_with = [](const std::function<void()>& run) {
    explain_memory({"--batch", 2}, memory_meter(at::kCPU), run, [](std::int64_t) {});
  };
  EXPECT_THROW(run_with([] { throw std::logic_error("else"); }), std::logic_error);
  EXPECT_THROW(run_with([] { TORCH_CHECK(false, "a shape"); }), c10::Error);
}

TEST(MemoryAdvice, KnowsEveryWayToRunOutOfMemory) {
  EXPECT_TRUE(is_out_of_memory(std::bad_alloc()));
  EXPECT_TRUE(is_out_of_memory(c10::OutOfMemoryError({__func__, __FILE__, 1}, "CUDA")));
  EXPECT_FALSE(is_out_of_memory(c10::Error({__func__, __FILE__, 1}, "another")));
  try {
    c10::GetAllocator(at::kCPU)->allocate(std::size_t{1} << 60);
    FAIL() << "there are 2^60 bytes";
  } catch (const std::exception& error) {
    EXPECT_TRUE(is_out_of_memory(error)) << error.what();
  }
}

}  // namespace
}  // namespace cdm
