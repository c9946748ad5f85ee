// SPDX-License-Identifier: MIT
// Process groups whose members are threads of the test instead of processes.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cdm/distributed/process_group.h"

namespace cdm::test {

/// The numbers of processes in tests of whole programs. Only one under sanitizers, where programs
/// start slowly.
#ifdef __SANITIZE_ADDRESS__
constexpr std::array<int, 1> kGroupSizes = {2};
#else
constexpr std::array<int, 2> kGroupSizes = {2, 4};
#endif

/// A port that no program uses now. It lies below the range from which the kernel takes ports for
/// outgoing connections, and each process begins its search elsewhere, so that no other test takes
/// the port before it is used.
inline std::uint16_t free_port() {
  constexpr unsigned kFirst = 20000;
  constexpr unsigned kCount = 12000;
  static std::atomic<unsigned> next = static_cast<unsigned>(::getpid()) * 17U;
  for (unsigned tried = 0; tried < kCount; ++tried) {
    const auto port = static_cast<std::uint16_t>(kFirst + next++ % kCount);
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    address.sin_port = htons(port);
    const bool is_free =
        ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(descriptor);
    if (is_free) return port;
  }
  throw std::runtime_error("no free port");
}

/// Calls `work` in `size` threads, each a rank of one group. An exception in one fails the test.
inline void run_group(int size, const std::function<void(const ProcessGroup&)>& work) {
  ProcessRank process;
  process.size = size;
  process.port = free_port();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    process.rank = rank;
    threads.emplace_back([&work, process] {
      try {
        const ProcessGroup group(process);
        work(group);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "rank " << process.rank << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace cdm::test
