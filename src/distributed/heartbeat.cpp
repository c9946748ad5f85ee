// SPDX-License-Identifier: MIT
#include "heartbeat.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cdm/text.h"

namespace cdm {
namespace {

constexpr const char* kFarewell = "farewell";

std::string key_of(int rank) { return concat("beat/", rank); }

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

/// What the two threads share. The exchange may be stuck in the network for long, so the watch only
/// looks at what it left here, and it may live on after the Heartbeat.
struct Heartbeat::Signs {
  struct Other {
    int rank;
    std::string last;
    int silent = 0;  // looks since it changed
  };

  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  bool farewell = false;
  bool exchange_is_over = false;
  std::vector<Other> others;

  /// Whether `interval` passed before the end.
  bool sleep(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds interval) {
    return !changed.wait_for(lock, interval, [this] { return ended; });
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
        lock.unlock();
        store->set(key_of(rank), bytes(std::to_string(beat)));
        std::vector<std::string> found;
        for (const Signs::Other& other : signs->others) {
          const bool is_there = store->check({key_of(other.rank)});
          const auto value =
              is_there ? store->get(key_of(other.rank)) : std::vector<std::uint8_t>();
          found.emplace_back(value.begin(), value.end());
        }
        lock.lock();
        for (std::size_t i = 0; i < found.size(); ++i) {
          Signs::Other& other = signs->others[i];
          if (other.last != found[i]) other.silent = 0;
          other.last = found[i];
        }
        signs->sleep(lock, interval);
      }
      if (signs->farewell) store->set(key_of(rank), bytes(kFarewell));
    } catch (const std::exception&) {
      // No connection: silence, from now on.
    }
    const std::lock_guard lock(signs->mutex);
    signs->exchange_is_over = true;
    signs->changed.notify_all();
  });
  watch_ = std::thread([signs = signs_, interval, lost = std::move(lost)] {
    std::unique_lock lock(signs->mutex);
    while (signs->sleep(lock, interval)) {
      for (Signs::Other& other : signs->others) {
        if (other.last == kFarewell || ++other.silent < kPatience) continue;
        lock.unlock();
        lost(other.rank);
        return;
      }
    }
  });
}

Heartbeat::~Heartbeat() {
  constexpr std::chrono::seconds kNetwork{2};
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
