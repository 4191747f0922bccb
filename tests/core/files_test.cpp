#include "bilens/core/files.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <vector>

#include "bilens/core/locks.h"
#include "caught.h"
#include "in_child.h"
#include "temporary_folder.h"

namespace bilens::files_test {
namespace {

using test::caught;
using test::contains;
using test::in_child;
using test::names_in;
using test::read_file;
using Names = std::set<std::string>;

TEST_CASE("a file appears with commit and not before") {
  const test::TemporaryFolder folder;
  const auto path = folder / "sub/a.txt";
  {
    AtomicFile file(path);
    file.write("one ");
    file.write("two");
    CHECK_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  CHECK(read_file(path) == "one two");
  CHECK(names_in(folder / "sub") == Names{"a.txt"});
}

TEST_CASE("a file that is not committed leaves the old one and nothing else") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.txt";
  write_text(path, "old");
  {
    AtomicFile file(path);
    file.write("new");
    CHECK(read_file(path) == "old");
  }
  CHECK(read_file(path) == "old");
  CHECK(names_in(folder.path()) == Names{"a.txt"});
  write_text(path, "n");
  CHECK(read_file(path) == "n");
}

TEST_CASE("a failed write is an error, leaves the old file, and tells a full disk from the rest") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.txt";
  write_text(path, "old");
  // A child with a limit of 1 MB a file stands for a full disk.
  const int code = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {1'000'000, 1'000'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_text(path, std::string(3'000'000, 'x'));
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 99;
  });
  CHECK(code == static_cast<int>(ExitCode::kExhausted));
  CHECK(read_file(path) == "old");
  CHECK(names_in(folder.path()) == Names{"a.txt"});

  const auto error = caught([&] { write_text(path / "below a file", "x"); });
  CHECK(error.code() == ExitCode::kFailure);
  CHECK(contains(error.what(), "a.txt"));
}

TEST_CASE("a directory appears whole with commit, replaces the old one, and leaves nothing without") {
  const test::TemporaryFolder folder;
  const auto path = folder / "model";
  {
    AtomicDirectory directory(path);
    test::write_file(directory.path() / "a", "1");
    CHECK_FALSE(std::filesystem::exists(path));
    directory.commit();
  }
  CHECK(names_in(path) == Names{"a"});
  {
    AtomicDirectory directory(path.string() + "/");  // names the same folder
    test::write_file(directory.path() / "b", "2");
    CHECK(names_in(path) == Names{"a"});
    directory.commit();
  }
  CHECK(names_in(path) == Names{"b"});
  {
    AtomicDirectory directory(path);
    test::write_file(directory.path() / "c", "3");
  }
  CHECK(names_in(path) == Names{"b"});
  CHECK(names_in(folder.path()) == Names{"model"});
}

TEST_CASE("a folder counts as empty with nothing but our own lock and leftovers") {
  const test::TemporaryFolder folder;
  CHECK(is_empty_directory(folder / "missing"));
  CHECK(is_empty_directory(folder.path()));
  const DirectoryLock lock(folder.path());
  test::write_file(folder / ".partial-1-model", "");
  CHECK(is_empty_directory(folder.path()));
  test::write_file(folder / "a", "");
  CHECK_FALSE(is_empty_directory(folder.path()));
  CHECK_FALSE(is_empty_directory(folder / "a"));
}

TEST_CASE("leftovers of interrupted writes are removed, and nothing else") {
  const test::TemporaryFolder folder;
  test::write_file(folder / ".partial-77-step-3/model.safetensors", "half");
  test::write_file(folder / ".partial-77-config.json", "{");
  test::write_file(folder / "partial-7", "");
  test::write_file(folder / "step-2/DONE", "");
  remove_leftovers(folder.path());
  CHECK(names_in(folder.path()) == Names{"partial-7", "step-2"});
  CHECK_NOTHROW(remove_leftovers(folder / "missing"));
}

TEST_CASE("numbers in names count by their value") {
  std::vector<std::filesystem::path> paths = {"run/step-1200", "run/step-800", "run/b",
                                              "run/step-9/a",  "run/a10",      "run/a9"};
  sort_by_number(paths);
  CHECK(paths == std::vector<std::filesystem::path>{"run/a9", "run/a10", "run/b", "run/step-9/a",
                                                    "run/step-800", "run/step-1200"});
}

TEST_CASE("read_text refuses what is missing, no regular file, or too large") {
  const test::TemporaryFolder folder;
  write_text(folder / "a", "12345");
  CHECK(read_text(folder / "a", 5, ExitCode::kUsage) == "12345");
  CHECK(contains(caught([&] { read_text(folder / "a", 4, ExitCode::kUsage); }).what(),
                 "at most 4 B, found 5 B"));
  CHECK(caught([&] { read_text(folder / "b", 4, ExitCode::kBadInput); }).code() == ExitCode::kBadInput);
  CHECK(contains(caught([&] { read_text("/dev/zero", 4, ExitCode::kUsage); }).what(), "something else"));
  std::filesystem::create_symlink(folder / "a", folder / "link");
  CHECK(read_text(folder / "link", 5, ExitCode::kUsage) == "12345");
}

}  // namespace
}  // namespace bilens::files_test
