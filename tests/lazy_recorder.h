// SPDX-License-Identifier: MIT
// A recorder for the CPU that stands in for a CUDA graph of work with side effects: recording does
// not run the work, and each replay runs it once.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "cdm/device/recorded.h"

namespace cdm::test {

struct Recordings {
  int made = 0, replays = 0;
  std::shared_ptr<int> alive = std::make_shared<int>(0);     // how many recordings there are now
  std::function<void()> replay_newest;                       // the newest recording
  std::function<void(const std::function<void()>&)> around;  // if given: runs each replay
};

class LazyRecorder final : public GraphRecorder {
 public:
  explicit LazyRecorder(Recordings& recordings)
      : recordings_(recordings), alive_(recordings.alive) {
    ++recordings.made;
    ++*alive_;
    recordings.replay_newest = [this] { replay(); };
  }
  ~LazyRecorder() override { --*alive_; }

  void record(const std::function<void()>& work) override { work_ = work; }
  void replay() override {
    ++recordings_.replays;
    if (recordings_.around) return recordings_.around(work_);
    work_();
  }

 private:
  Recordings& recordings_;
  std::shared_ptr<int> alive_;  // may outlive the recordings
  std::function<void()> work_;
};

inline MakeRecorder lazily(Recordings& recordings) {
  return [&recordings] { return std::make_unique<LazyRecorder>(recordings); };
}

}  // namespace cdm::test
