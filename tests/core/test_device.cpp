// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "cdm/core/error.h"
#include "cdm/device/device.h"
#include "messages.h"

namespace cdm {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

bool has_cuda() { return resolve_device("auto").is_cuda(); }

TEST(Device, CpuIsAlwaysThere) { EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU)); }

TEST(Device, UnknownNamesSayWhatIsLegal) {
  for (const char* const name :
       {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999", "cpu:0"}) {
    EXPECT_THAT([&] { resolve_device(name); },
                ThrowsMessage<UserError>(test::mentions(name, "auto", "cpu", "cuda", "cuda:N")))
        << name;
  }
}

TEST(Device, CudaThatIsAbsentSaysWhy) {
  if (has_cuda()) GTEST_SKIP() << "there is a CUDA device";
  for (const char* const name : {"cuda", "cuda:0", "cuda:3"}) {
    EXPECT_THAT([&] { resolve_device(name); },
                ThrowsMessage<UserError>(AllOf(
                    test::mentions(name, "no CUDA device", "auto", "cpu"), Not(HasSubstr("\n")))));
  }
  EXPECT_EQ(peak_memory_bytes(at::Device(at::kCUDA, 0)), 0);
}

TEST(Device, CudaIndexTooHighSaysHowManyThereAre) {
  if (!has_cuda()) GTEST_SKIP() << "no CUDA device";
  EXPECT_EQ(resolve_device("cuda"), at::Device(at::kCUDA, 0));
  EXPECT_THAT([] { resolve_device("cuda:127"); },
              ThrowsMessage<UserError>(test::mentions("cuda:127", "CUDA device")));
}

/// Memory of this process that is in RAM now.
std::int64_t resident_memory_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

TEST(Device, MemoryFollowsAllocation) {
  constexpr std::int64_t kBytes = 64 << 20;
  const std::int64_t before = resident_memory_bytes();
  EXPECT_GT(before, 0);
  const auto block = std::make_unique<char[]>(kBytes);  // zeroed, so every page is there
  EXPECT_GT(resident_memory_bytes(), before + kBytes * 9 / 10);
  EXPECT_GE(peak_memory_bytes(at::kCPU), before + kBytes * 9 / 10);
  EXPECT_NE(block, nullptr);
}

TEST(Device, FreedMemoryIsKept) {
  constexpr std::size_t kBytes = 64 << 20;
  keep_freed_memory();
  const std::int64_t before = resident_memory_bytes();
  void* const block = std::calloc(kBytes, 1);
  for (std::size_t i = 0; i < kBytes; i += 4096) static_cast<volatile char*>(block)[i] = 1;
  std::free(block);
  EXPECT_GT(resident_memory_bytes(), before + static_cast<std::int64_t>(kBytes) * 9 / 10);
}

}  // namespace
}  // namespace cdm
