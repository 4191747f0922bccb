#include "bilens/core/locks.h"

#include <sched.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <vector>

#include "bilens/core/files.h"
#include "caught.h"
#include "in_child.h"
#include "temporary_folder.h"

namespace bilens::locks_test {
namespace {

using test::caught;
using test::contains;
using test::in_child;
using test::names_in;
using Names = std::set<std::string>;

TEST_CASE("a folder is locked to one process, and free again when that ends") {
  const test::TemporaryFolder folder;
  const auto in_use = [&] {
    try {
      const DirectoryLock second(folder.path());
    } catch (const Error& error) {
      return contains(error.what(), "another bilens") ? static_cast<int>(error.code()) : 98;
    }
    return 0;
  };
  {
    const DirectoryLock lock(folder.path());
    CHECK(in_child(in_use) == static_cast<int>(ExitCode::kFailure));
    CHECK(in_use() == static_cast<int>(ExitCode::kFailure));
  }
  CHECK(in_child(in_use) == 0);
  // A killed process leaves no lock behind, only its file, and that until the next one.
  in_child([&] {
    const DirectoryLock lock(folder.path());
    raise(SIGKILL);
    return 0;
  });
  CHECK(in_use() == 0);
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a lock leaves the folder as it was, and is not taken away by who is refused") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "mine.txt", "precious");
  {
    const DirectoryLock lock(folder.path());
    CHECK(names_in(folder.path()) == Names{".bilens-lock", "mine.txt"});
    CHECK(caught([&] { DirectoryLock second(folder.path()); }).code() == ExitCode::kFailure);
    CHECK(names_in(folder.path()) == Names{".bilens-lock", "mine.txt"});
    CHECK(caught([&] { DirectoryLock third(folder.path()); }).code() == ExitCode::kFailure);
  }
  CHECK(names_in(folder.path()) == Names{"mine.txt"});
}

TEST_CASE("no two processes hold a lock at once, although its file comes and goes") {
  const test::TemporaryFolder folder;
  const auto inside = folder / "inside";
  // 0 when the lock was got many times and never together with another process. Tries are not counted: a
  // holder may be off its core for as long as thousands of them take.
  const auto contend = [&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (int got = 0; got < 500;) {
      if (std::chrono::steady_clock::now() > end) return 1;
      try {
        const DirectoryLock lock(folder.path());
        if (mkdir(inside.c_str(), 0755) != 0) return 2;
        rmdir(inside.c_str());
        ++got;
      } catch (const Error&) {
        sched_yield();
      }
    }
    return 0;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork());
    if (children.back() == 0) _exit(contend());
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("a lock makes the folder where it is missing and refuses one that cannot be made") {
  const test::TemporaryFolder folder;
  { const DirectoryLock lock(folder / "a/b"); }
  CHECK(std::filesystem::is_directory(folder / "a/b"));
  write_text(folder / "file", "");
  CHECK(caught([&] { DirectoryLock lock(folder / "file/run"); }).code() == ExitCode::kFailure);
  CHECK(caught([&] { DirectoryLock lock("/proc/bilens"); }).code() == ExitCode::kFailure);
}

TEST_CASE("a part of a folder's work has a lock of its own, which is nobody's twice") {
  const test::TemporaryFolder folder;
  const auto file = lock_file(folder.path(), "layer_3");
  CHECK(is_lock_file(file.filename().string()));
  CHECK_FALSE(is_lock_file("layer_3.safetensors"));
  {
    const auto held = FileLock::take(file);
    REQUIRE(held);
    CHECK_FALSE(FileLock::take(file));
    CHECK(in_child([&] { return FileLock::take(file) ? 1 : 0; }) == 0);
    CHECK(in_child([&] { return FileLock::take(lock_file(folder.path(), "layer_4")) ? 0 : 1; }) == 0);
    CHECK_NOTHROW(DirectoryLock(folder.path()));
  }
  CHECK(names_in(folder.path()).empty());
}

/// Whether a process may have the folder for itself.
bool is_free(const std::filesystem::path& folder) { return DirectoryLock::take(folder).has_value(); }

TEST_CASE("those with one job may share a folder, which is nobody's alone until the last has gone") {
  const test::TemporaryFolder folder;
  const auto share = [&] { return SharedDirectoryLock::take(folder.path(), "this job"); };
  {
    const auto first = share();
    REQUIRE(first);
    {
      const auto second = share();
      REQUIRE(second);
      CHECK_FALSE(is_free(folder.path()));
    }
    CHECK(names_in(folder.path()) == Names{".bilens-lock"});
    CHECK(in_child([&] { return is_free(folder.path()) ? 1 : 0; }) == 0);
    CHECK(in_child([&] { return share() ? 0 : 1; }) == 0);
    // One that is killed takes its share along.
    in_child([&] {
      const auto third = share();
      raise(SIGKILL);
      return 0;
    });
    const auto error = caught([&] { SharedDirectoryLock::take(folder.path(), "another job"); });
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(contains(error.what(), "those at work in it"));
  }
  CHECK(names_in(folder.path()).empty());
  CHECK(is_free(folder.path()));
  const DirectoryLock alone(folder.path());
  CHECK_FALSE(share());
}

TEST_CASE("what a killed job left keeps no other job off") {
  const test::TemporaryFolder folder;
  in_child([&] {
    const auto lock = SharedDirectoryLock::take(folder.path(), "this job");
    raise(SIGKILL);
    return 0;
  });
  CHECK(names_in(folder.path()) == Names{".bilens-lock"});
  CHECK(SharedDirectoryLock::take(folder.path(), "another job"));
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("locks that nobody holds are removed, and no others") {
  const test::TemporaryFolder folder;
  test::write_file(lock_file(folder.path(), "layer_1"), "");
  test::write_file(folder / "mine.txt", "");
  const auto held = FileLock::take(lock_file(folder.path(), "layer_2"));
  remove_unheld_locks(folder.path());
  CHECK(names_in(folder.path()) == Names{".bilens-lock-layer_2", "mine.txt"});
}

TEST_CASE("many that begin and stop at once are never refused their share") {
  const test::TemporaryFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork());
    if (children.back() == 0) {
      int refused = 0;
      const auto share = [&] {
        try {
          return SharedDirectoryLock::take(folder.path(), "a").has_value();
        } catch (const Error&) {
          return false;
        }
      };
      for (int round = 0; round < 200; ++round) refused += share() ? 0 : 1;
      _exit(refused == 0 ? 0 : 1);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(names_in(folder.path()).empty());
}

}  // namespace
}  // namespace bilens::locks_test
