#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "bilens/dist/ranks.h"
#include "catch.h"

namespace bilens::test {

inline int64_t free_port() {
  const int bound = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK(bind(bound, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(getsockname(bound, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(bound);
  return ntohs(address.sin_port);
}

inline Launch launch_of(int64_t rank, int64_t count, int64_t port) {
  Launch launch;
  launch.rank = rank;
  launch.ranks = launch.local_ranks = count;
  launch.address = "127.0.0.1";
  launch.port = port;
  return launch;
}

/// Processes that work together, played by threads: each rank's work on a thread of its own.
/// @return what each threw
inline std::vector<std::exception_ptr> together(int64_t count, const std::function<void(const Ranks&)>& work,
                                                int64_t seconds = 60, int64_t port = free_port()) {
  std::vector<std::exception_ptr> thrown(count);
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const Ranks ranks(launch_of(rank, count, port), std::chrono::seconds(seconds));
        ranks.take_part([&] { work(ranks); });
      } catch (...) {
        thrown[rank] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return thrown;
}

/// Likewise where nothing is to be thrown.
inline void all_well(int64_t count, const std::function<void(const Ranks&)>& work) {
  for (const auto& thrown : together(count, work)) {
    if (thrown) std::rethrow_exception(thrown);
  }
}

}  // namespace bilens::test
