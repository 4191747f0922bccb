// Processes that work together, played by threads: sums, what the first one says, and what ends all.
#include <ATen/ATen.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <thread>

#include "bilens/core/error.h"
#include "bilens/core/host.h"
#include "bilens/core/stop.h"
#include "bilens/dist/ranks.h"
#include "catch.h"
#include "caught.h"
#include "owned_rows.h"
#include "patient_thread.h"
#include "ranks_as_threads.h"

namespace bilens::ranks_test {
namespace {

using test::all_well, test::together;

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
      for (const auto& tensor : own) ranks.sum(tensor);
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

TEST_CASE("sums reach the owners of tensors, and what owners have reaches all") {
  for (const int64_t count : {2, 3, 4}) {
    const std::vector<int64_t> sizes = {5, 1000, 0, 7, 1, 300}, owners = {1, 0, 1, count - 1, 1, 0};
    const auto thrown = together(count, [&](const Ranks& ranks) {
      std::vector<at::Tensor> sums, from_owners;
      for (const int64_t size : sizes) {
        // The second does not lie in one piece.
        const auto own = numbers(ranks.rank(), size);
        sums.push_back(size == 1000 ? own.view({10, 100}).t().contiguous().t() : own.clone());
        from_owners.push_back(sums.back().clone());
      }
      ranks.sum_to_owners(sums, owners);
      ranks.copy_from_owners(from_owners, owners);
      for (size_t i = 0; i < sizes.size(); ++i) {
        const auto of = [&](int64_t rank) { return numbers(rank, sizes[i]).view_as(sums[i]); };
        const auto tree = count == 4   ? (of(0) + of(1)) + (of(2) + of(3))
                          : count == 3 ? of(0) + of(1) + of(2)
                                       : of(0) + of(1);
        const bool own = owners[i] == ranks.rank();
        const bool right = count == 3 && own ? at::allclose(sums[i], tree, 1e-6, 1e-3)
                                             : at::equal(sums[i], own ? tree : of(ranks.rank()));
        if (!right) throw std::runtime_error("another sum of tensor " + std::to_string(i));
        if (!at::equal(from_owners[i], of(owners[i])))
          throw std::runtime_error("not what the owner has of tensor " + std::to_string(i));
      }
    });
    for (const auto& one : thrown) CHECK(message_of(one) == "");
  }
}

TEST_CASE("rows that are cut anywhere hold each number once") {
  const auto a = at::arange(5, at::kFloat), b = at::arange(5, 17, at::kFloat).view({3, 4}).t(),
             c = at::empty({0}), d = at::arange(17, 20, at::kFloat).to(at::kBFloat16);
  const std::vector<std::vector<int64_t>> places = {{0, 0, 0, 1}, {2, 0, 1, 0}, {1, 1, 1, 1}};
  for (const auto& of : places) {
    for (const int64_t step : {1, 3, 4, 100}) {
      std::vector<at::Tensor> tensors = {a, b, c, d}, copies;
      for (const auto& tensor : tensors) copies.push_back(at::zeros_like(tensor));
      const OwnedRows from(tensors, of, 3), to(copies, of, 3);
      CHECK(from.longest() == to.longest());
      double sum = 0;
      for (int64_t begin = 0; begin < from.longest(); begin += step) {
        const auto part = from.part(begin, begin + step);
        CHECK(part.bounds.back() == part.row.numel());
        sum += part.row.sum().item<double>();
        for (int64_t place = 0; place < 3; ++place) to.put(part, begin, place);
      }
      CHECK(sum == 190);
      for (size_t i = 0; i < tensors.size(); ++i) CHECK(at::equal(copies[i], tensors[i]));
    }
  }
}

TEST_CASE("a float64 tensor is summed as such") {
  for (const auto& one : together(2, [](const Ranks& ranks) {
         const auto sum = at::full({3}, ranks.first() ? 1.0 / 3 : 0.0, at::kDouble);
         ranks.sum(sum);
         if (!at::equal(sum, at::full({3}, 1.0 / 3, at::kDouble))) throw std::runtime_error("rounded");
       }))
    CHECK(message_of(one) == "");
}

TEST_CASE("tensors, text and work of the first") {
  int64_t worked = 0;
  const auto thrown = together(3, [&](const Ranks& ranks) {
    auto a = at::full({3}, ranks.rank(), at::kLong), b = at::full({}, ranks.rank(), at::kBFloat16);
    auto c = numbers(ranks.rank(), 12).view({3, 4}).t();  // not contiguous
    ranks.copy_from(0, {a, b, c});
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

struct AskedToStop : Host {
  void log(LogLevel, const std::string&) override {}
  void progress(const ProgressState&) override {}
  bool stop_requested() override { return true; }
};

TEST_CASE("all notice between exchanges that one was asked to stop") {
  test::all_well(3, [](const Ranks& ranks) {
    if (ranks.stops()) throw std::runtime_error("nobody was asked");
    ranks.on_first([] {});
    AskedToStop host;
    const HostScope scope(ranks.rank() == 2 ? &host : nullptr);
    const auto begin = std::chrono::steady_clock::now();
    while (!ranks.stops()) {
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20))
        throw std::runtime_error("not heard");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
}

TEST_CASE("all notice between exchanges that one has failed") {
  const auto thrown = together(3, [](const Ranks& ranks) {
    if (ranks.rank() == 2) throw Error(ExitCode::kExhausted, {"memory", "room", "none", ""});
    while (!ranks.stops()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  for (const int rank : {0, 1})
    CHECK(test::contains(message_of(thrown[rank]), "rank 2: memory: expected room"));
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
    ranks.copy_from(0, {one});
  });
  CHECK(test::contains(message_of(thrown[0]), "file: expected whole"));
  for (const int rank : {1, 2, 3})
    CHECK(test::contains(message_of(thrown[rank]), "rank 0: file: expected whole"));
}

TEST_CASE("two processes of one rank are refused") {
  std::string second;
  const int64_t port = test::free_port();
  const auto thrown = together(
      2,
      [&](const Ranks& ranks) {
        if (ranks.rank() == 1) {
          try {
            Ranks again(test::launch_of(1, 2, port), std::chrono::seconds(10));
          } catch (const Error& error) {
            second = error.what();
          }
        }
        auto one = at::ones({5});
        ranks.sum(one);
      },
      60, port);
  for (const auto& one : thrown) CHECK(message_of(one) == "");
  CHECK(test::contains(second, "another at the same MASTER_ADDR and MASTER_PORT"));
}

TEST_CASE("who does not come to an exchange is named") {
  const auto thrown = together(
      2,
      [](const Ranks& ranks) {
        auto one = at::ones({5});
        ranks.sum(one);
        if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(6));
        ranks.sum(one);
      },
      2);
  CHECK(test::contains(message_of(thrown[0]), "rank 1 of 2: expected an answer, found none within 2 s"));
  CHECK(message_of(thrown[1]) != "");
}

TEST_CASE("a write that nobody reads is an error, and not the end of the process") {
  int ends[2];
  CHECK(pipe(ends) == 0);
  std::signal(SIGPIPE, SIG_DFL);
  for (const auto& one : together(2, [&](const Ranks& ranks) {
         ranks.on_first([&] {
           close(ends[0]);
           if (write(ends[1], "word", 4) >= 0) throw std::runtime_error("written to nobody");
         });
       }))
    CHECK(message_of(one) == "");
  close(ends[1]);
}

TEST_CASE("one process alone exchanges nothing") {
  const auto& ranks = Ranks::one();
  CHECK((ranks.alone() && ranks.first()));
  auto one = at::ones({5});
  ranks.sum(one);
  ranks.copy_from(0, {one});
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
