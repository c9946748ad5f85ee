// SPDX-License-Identifier: MIT
// Signs of life, of processes that share a store in memory.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "distributed/heartbeat.h"

namespace cdm {
namespace {

using std::chrono::milliseconds;

// Times patience, longer than a thread has to wait for its turn on a busy machine.
constexpr milliseconds kInterval{80};
constexpr milliseconds kManyIntervals = 2 * Heartbeat::kPatience * kInterval;

class HeartbeatTest : public testing::Test {
 protected:
  std::unique_ptr<Heartbeat> beat(int rank, milliseconds interval = kInterval) {
    return std::make_unique<Heartbeat>(store_, rank, kSize, interval, [this, rank](int lost) {
      order_[rank] = called_++;
      lost_[rank] = lost;
    });
  }
  /// Waits until `rank` misses another, for some seconds at most; returns which, -1 for none.
  int lost_by(int rank) const {
    for (int i = 0; i < 500 && lost_[rank] < 0; ++i) std::this_thread::sleep_for(kInterval);
    return lost_[rank];
  }

  static constexpr int kSize = 3;
  c10::intrusive_ptr<c10d::Store> store_ = c10::make_intrusive<c10d::HashStore>();
  std::atomic<int> lost_[kSize] = {-1, -1, -1};
  std::atomic<int> called_ = 0, order_[kSize] = {};
};

TEST_F(HeartbeatTest, NobodyIsLostWhileAllBeat) {
  const auto first = beat(0), second = beat(1), third = beat(2);
  std::this_thread::sleep_for(kManyIntervals);
  for (const auto& lost : lost_) EXPECT_EQ(lost, -1);
}

TEST_F(HeartbeatTest, RankZeroMissesOneThatFallsSilent) {
  const auto first = beat(0), second = beat(1), silent = beat(2, std::chrono::hours(1));
  EXPECT_EQ(lost_by(0), 2);
  EXPECT_EQ(lost_by(1), 2);
  EXPECT_LT(order_[1], order_[0]);  // told, before the store ends with rank 0
}

TEST_F(HeartbeatTest, RankZeroMissesOneThatNeverCame) {
  const auto first = beat(0), second = beat(1);
  EXPECT_EQ(lost_by(0), 2);
}

TEST_F(HeartbeatTest, OthersMissRankZero) {
  const auto silent = beat(0, std::chrono::hours(1)), second = beat(1), third = beat(2);
  EXPECT_EQ(lost_by(1), 0);
  EXPECT_EQ(lost_by(2), 0);
}

TEST_F(HeartbeatTest, OneThatEndedIsNotMissed) {
  const auto first = beat(0), second = beat(1);
  beat(2);
  std::this_thread::sleep_for(kManyIntervals);
  EXPECT_EQ(lost_[0], -1);
}

TEST_F(HeartbeatTest, OneThatFailedIsMissed) {
  const auto first = beat(0), second = beat(1);
  try {
    const auto failing = beat(2);
    throw std::runtime_error("failed");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(lost_by(0), 2);
}

/// A network that answers nothing until it is open.
class SwallowingStore : public c10d::HashStore {
 public:
  explicit SwallowingStore(std::shared_ptr<std::atomic<bool>> open) : open_(std::move(open)) {}
  void set(const std::string& key, const std::vector<std::uint8_t>& value) override {
    while (!*open_) std::this_thread::sleep_for(kInterval);
    HashStore::set(key, value);
  }

 private:
  std::shared_ptr<std::atomic<bool>> open_;
};

TEST_F(HeartbeatTest, ANetworkThatHangsIsSilenceAndNotWaitedFor) {
  const auto open = std::make_shared<std::atomic<bool>>(false);
  store_ = c10::make_intrusive<SwallowingStore>(open);
  {
    const auto second = beat(1);
    EXPECT_EQ(lost_by(1), 0);
  }
  *open = true;  // lets the thread end, which was left behind
  std::this_thread::sleep_for(kManyIntervals);
}

}  // namespace
}  // namespace cdm
