// SPDX-License-Identifier: MIT
#include "distributed/heartbeat.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::string_view kFarewell = "farewell";
constexpr std::string_view kLost = "lost ";

std::string key_of(int rank) { return concat("beat/", rank); }

std::vector<std::uint8_t> bytes(std::string_view text) { return {text.begin(), text.end()}; }

}  // namespace

/// What the two threads share. The exchange thread reads and writes the store. It may block in the
/// network for a long time. So the watch thread only reads the results here, and the exchange
/// thread may outlive the Heartbeat.
struct Heartbeat::Signs {
  struct Other {
    int rank;
    std::string last;
    int silent = 0;  // intervals since `last` changed
  };

  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  bool farewell = false;
  bool exchange_is_over = false;
  int lost = -1;  // the rank that is lost; -1 if none is
  std::vector<Other> others;

  /// Writes this process's sign and reads those of the others.
  void exchange(std::unique_lock<std::mutex>& lock, c10d::Store& store, int rank,
                std::int64_t beat) {
    const std::string sign = lost < 0 ? std::to_string(beat) : concat(kLost, lost);
    lock.unlock();
    store.set(key_of(rank), bytes(sign));
    std::vector<std::string> found;
    for (const Other& other : others) {
      const std::string key = key_of(other.rank);
      const auto value = store.check({key}) ? store.get(key) : std::vector<std::uint8_t>();
      found.emplace_back(value.begin(), value.end());
    }
    lock.lock();
    for (std::size_t i = 0; i < found.size(); ++i) {
      Other& other = others[i];
      if (other.last != found[i]) other.silent = 0;
      other.last = found[i];
      if (found[i].starts_with(kLost)) lost = std::stoi(found[i].substr(kLost.size()));
    }
  }
};

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
                     std::chrono::milliseconds interval, std::function<void(int)> lost)
    : signs_(std::make_shared<Signs>()) {
  for (int other = 0; other < size; ++other) {
    if (other != rank && (rank == 0 || other == 0)) signs_->others.push_back({other, ""});
  }
  exchange_ = std::thread([signs = signs_, store = std::move(store), rank, interval] {
    try {
      std::unique_lock lock(signs->mutex);
      for (std::int64_t beat = 0; !signs->ended; ++beat) {
        signs->exchange(lock, *store, rank, beat);
        signs->changed.wait_for(lock, interval, [&] { return signs->ended; });
      }
      if (signs->farewell) store->set(key_of(rank), bytes(kFarewell));
    } catch (const std::exception&) {
      // The connection is lost. The others notice it by this process's silence.
    }
    const std::lock_guard lock(signs->mutex);
    signs->exchange_is_over = true;
    signs->changed.notify_all();
  });
  watch_ = std::thread([signs = signs_, rank, interval, lost = std::move(lost)] {
    std::unique_lock lock(signs->mutex);
    const auto ended_within = [&](std::chrono::milliseconds time) {
      return signs->changed.wait_for(lock, time, [&] { return signs->ended; });
    };
    while (!ended_within(interval)) {
      for (Signs::Other& other : signs->others) {
        if (other.last != kFarewell && ++other.silent >= kPatience) signs->lost = other.rank;
      }
      if (signs->lost < 0) continue;
      // The store may end with the process of rank 0, so the others get time to read which is lost:
      // up to three intervals until it is written, read and acted upon, and two to spare.
      if (rank == 0 && ended_within(5 * interval)) return;
      const int missed = signs->lost;
      lock.unlock();
      lost(missed);
      return;
    }
  });
}

Heartbeat::~Heartbeat() {
  constexpr std::chrono::seconds kNetwork{2};  // for the farewell to be written
  std::unique_lock lock(signs_->mutex);
  signs_->ended = true;
  signs_->farewell = std::uncaught_exceptions() == 0;
  signs_->changed.notify_all();
  const bool is_over =
      signs_->changed.wait_for(lock, kNetwork, [this] { return signs_->exchange_is_over; });
  lock.unlock();
  watch_.join();
  if (is_over) {
    exchange_.join();
  } else {
    exchange_.detach();
  }
}

}  // namespace cdm
