// Processes that work together, played by threads: sums, what the first one says, and what ends all.
#include <ATen/ATen.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <thread>

#include "bilens/core/error.h"
#include "bilens/core/stop.h"
#include "bilens/dist/ranks.h"
#include "catch.h"
#include "caught.h"
#include "patient_thread.h"

namespace bilens::ranks_test {
namespace {

int64_t free_port() {
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

int64_t port_in_use = 0;  // of the last launch

Launch launch_of(int64_t rank, int64_t count, int64_t port) {
  Launch launch;
  launch.rank = rank;
  launch.ranks = launch.local_ranks = count;
  launch.address = "127.0.0.1";
  launch.port = port;
  return launch;
}

/// Each rank's work on a thread of its own. @return what each threw
std::vector<std::exception_ptr> together(int64_t count, const std::function<void(const Ranks&)>& work,
                                         int64_t seconds = 60) {
  std::vector<std::exception_ptr> thrown(count);
  std::vector<std::thread> threads;
  const int64_t port = port_in_use = free_port();
  for (int64_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const Ranks ranks(launch_of(rank, count, port), std::chrono::seconds(seconds));
        try {
          work(ranks);
        } catch (const Stopped&) {
          ranks.tell_stop();
          throw;
        } catch (const std::exception& error) {
          ranks.tell_failure(error.what());
          throw;
        }
      } catch (...) {
        thrown[rank] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return thrown;
}

std::string message_of(const std::exception_ptr& thrown) {
  if (!thrown) return "";
  try {
    std::rethrow_exception(thrown);
  } catch (const Stopped&) {
    return "stopped";
  } catch (const std::exception& error) {
    return error.what();
  }
}

at::Tensor numbers(int64_t rank, int64_t size) {
  return (at::arange(size, at::kFloat) * 0.37 + static_cast<double>(rank) * 1.1).sin() * 1e3;
}

TEST_CASE("sums are those of the tree over the ranks, the same bits everywhere") {
  for (const int64_t count : {2, 3, 4}) {
    std::vector<std::vector<at::Tensor>> found(count);
    const std::vector<int64_t> sizes = {1, 0, 7, 1000};
    const auto thrown = together(count, [&](const Ranks& ranks) {
      std::vector<at::Tensor> own;
      for (const int64_t size : sizes) own.push_back(numbers(ranks.rank(), size));
      own.push_back(numbers(ranks.rank(), 6).view({2, 3}).to(at::kBFloat16));
      ranks.sum(own);
      found[ranks.rank()] = own;
    });
    for (const auto& one : thrown) CHECK(message_of(one) == "");
    for (size_t i = 0; i < sizes.size(); ++i) {
      const auto of = [&](int64_t rank) { return numbers(rank, sizes[i]); };
      for (int64_t rank = 1; rank < count; ++rank) CHECK(at::equal(found[rank][i], found[0][i]));
      if (count == 2) CHECK(at::equal(found[0][i], of(0) + of(1)));
      if (count == 4) CHECK(at::equal(found[0][i], (of(0) + of(1)) + (of(2) + of(3))));
      if (count == 3) CHECK(at::allclose(found[0][i], of(0) + of(1) + of(2), 1e-6, 1e-3));
    }
    // Summed in float32, then rounded.
    auto rounded = at::zeros({2, 3});
    for (int64_t rank = 0; rank < count; ++rank)
      rounded += numbers(rank, 6).view({2, 3}).to(at::kBFloat16).to(at::kFloat);
    CHECK(at::allclose(found[0].back().to(at::kFloat), rounded, 1.0 / 128));
  }
}

TEST_CASE("tensors, text and work of the first") {
  int64_t worked = 0;
  const auto thrown = together(3, [&](const Ranks& ranks) {
    auto a = at::full({3}, ranks.rank(), at::kLong), b = at::full({}, ranks.rank(), at::kBFloat16);
    auto c = numbers(ranks.rank(), 12).view({3, 4}).t();  // not contiguous
    ranks.copy_from_first({a, b, c});
    if (!at::equal(a, at::zeros({3}, at::kLong)) || b.item<double>() != 0 ||
        !at::equal(c, numbers(0, 12).view({3, 4}).t()))
      throw std::runtime_error("other tensors");
    if (ranks.text_from_first(std::to_string(ranks.rank())) != "0") throw std::runtime_error("another text");
    ranks.on_first([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ++worked;
    });
    if (worked != 1) throw std::runtime_error("not waited for");
    ranks.require_same("the config", "same", "");
  });
  for (const auto& one : thrown) CHECK(message_of(one) == "");
}

TEST_CASE("what differs is said by whom, and known to all") {
  const auto thrown = together(3, [](const Ranks& ranks) {
    const std::string text = ranks.rank() == 2 ? "{\n  \"rate\": 2\n}" : "{\n  \"rate\": 1\n}";
    ranks.require_same("the config", text, "Start all alike.");
  });
  CHECK(test::contains(message_of(thrown[2]),
                       "the config: expected that of rank 0:   \"rate\": 1, found   \"rate\": 2"));
  for (const int rank : {0, 1}) CHECK(test::contains(message_of(thrown[rank]), "rank 2: the config"));
}

TEST_CASE("a stop and a failure of the first reach all") {
  for (const auto& one : together(3, [](const Ranks& ranks) { ranks.on_first([] { throw Stopped{}; }); }))
    CHECK(message_of(one) == "stopped");
  const auto thrown = together(3, [](const Ranks& ranks) {
    ranks.on_first([] { throw Error(ExitCode::kExhausted, {"disk", "room", "none", ""}); });
  });
  CHECK(test::contains(message_of(thrown[0]), "disk: expected room"));
  for (const int rank : {1, 2})
    CHECK(test::contains(message_of(thrown[rank]), "rank 0: disk: expected room"));
}

TEST_CASE("a failure outside of what the others wait for reaches those that exchange") {
  const auto thrown = together(4, [](const Ranks& ranks) {
    if (ranks.rank() == 0) throw Error(ExitCode::kBadInput, {"file", "whole", "damaged", ""});
    auto one = at::ones({5});
    ranks.copy_from_first({one});
  });
  CHECK(test::contains(message_of(thrown[0]), "file: expected whole"));
  for (const int rank : {1, 2, 3})
    CHECK(test::contains(message_of(thrown[rank]), "rank 0: file: expected whole"));
}

TEST_CASE("two processes of one rank are refused") {
  std::string second;
  const auto thrown = together(2, [&](const Ranks& ranks) {
    if (ranks.rank() == 1) {
      try {
        Ranks again(launch_of(1, 2, port_in_use), std::chrono::seconds(10));
      } catch (const Error& error) {
        second = error.what();
      }
    }
    auto one = at::ones({5});
    ranks.sum({one});
  });
  for (const auto& one : thrown) CHECK(message_of(one) == "");
  CHECK(test::contains(second, "another at the same MASTER_ADDR and MASTER_PORT"));
}

TEST_CASE("who does not come to an exchange is named") {
  const auto thrown = together(
      2,
      [](const Ranks& ranks) {
        auto one = at::ones({5});
        ranks.sum({one});
        if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(6));
        ranks.sum({one});
      },
      2);
  CHECK(test::contains(message_of(thrown[0]), "rank 1 of 2: expected an answer, found none within 2 s"));
  CHECK(message_of(thrown[1]) != "");
}

TEST_CASE("one process alone exchanges nothing") {
  const auto& ranks = Ranks::one();
  CHECK((ranks.alone() && ranks.first()));
  auto one = at::ones({5});
  ranks.sum({one});
  ranks.copy_from_first({one});
  CHECK(at::equal(one, at::ones({5})));
  CHECK(ranks.text_from_first("text") == "text");
  int64_t worked = 0;
  ranks.on_first([&] { ++worked; });
  CHECK(worked == 1);
}

TEST_CASE("a launch without variables is one process") {
  for (const char* name : {"RANK", "WORLD_SIZE", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"}) unsetenv(name);
  CHECK(Launch::from_environment().alone());
}

TEST_CASE("a call that never returns is waited for as long as is said, and left behind") {
  const auto begin = std::chrono::steady_clock::now();
  const auto ask = [] {
    PatientThread thread(std::chrono::seconds(1), [] {});
    CHECK(thread.ask([] { return 7; }, std::chrono::seconds(10)) == 7);
    thread.ask([] { std::this_thread::sleep_for(std::chrono::seconds(20)); }, std::chrono::milliseconds(50));
  };
  CHECK_THROWS_WITH(ask(), "Timed out");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

}  // namespace
}  // namespace bilens::ranks_test
