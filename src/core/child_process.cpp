#include "bilens/core/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "bilens/core/error.h"
#include "bilens/core/stop.h"

namespace bilens {

namespace {

constexpr size_t kKeptErrors = 64 << 10;
constexpr int kGlance = 100;  // milliseconds between looks at whether to stop
constexpr auto kPatience = std::chrono::seconds(5);

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { reset(); }

  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  void reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

/// (where it is read, where it is written); neither goes on to children by itself.
std::pair<Descriptor, Descriptor> make_pipe() {
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("a pipe", "open", ExitCode::kFailure);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// The settings of a start, freed with their owner.
struct Start {
  posix_spawn_file_actions_t files = {};
  posix_spawnattr_t attributes = {};

  Start(const Descriptor& out, const Descriptor& errors) {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out.number(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, errors.number(), STDERR_FILENO);
    // What this process ignores or holds back is no business of the other's.
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~Start() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Start(const Start&) = delete;
  Start& operator=(const Start&) = delete;
};

/// A child that runs; it ends with its owner at the latest.
class Child {
 public:
  Child(const std::vector<std::string>& words, const Descriptor& out, const Descriptor& errors) {
    std::vector<std::string> copies = words;
    std::vector<char*> argv;
    for (auto& word : copies) argv.push_back(word.data());
    argv.push_back(nullptr);
    const Start start(out, errors);
    const int failed =
        posix_spawnp(&process_, argv.front(), &start.files, &start.attributes, argv.data(), environ);
    if (failed != 0) {
      process_ = -1;
      throw Error(ExitCode::kUsage, {words.front(), "a program that can be started", strerror(failed),
                                     "Name it with its path."});
    }
  }
  ~Child() {
    if (process_ > 0) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Whether it has ended.
  bool has_ended(bool wait) {
    if (process_ < 0) return true;
    pid_t found = 0;
    do found = waitpid(process_, &status_, wait ? 0 : WNOHANG);
    while (found < 0 && errno == EINTR);
    if (found != 0) process_ = -1;
    return found != 0;
  }

  /// Asks it to end, and then sees to it.
  void end() {
    kill(process_, SIGTERM);
    const auto last = std::chrono::steady_clock::now() + kPatience;
    while (!has_ended(false)) {
      if (std::chrono::steady_clock::now() > last) {
        kill(process_, SIGKILL);
        has_ended(true);
        return;
      }
      poll(nullptr, 0, kGlance / 10);
    }
  }

  int status() const { return status_; }

 private:
  pid_t process_ = -1;
  int status_ = 0;
};

/// Adds what can be read now; closes the descriptor at its end.
void read_some(Descriptor& from, std::string& text) {
  std::array<char, 4096> block = {};
  const ssize_t count = read(from.number(), block.data(), block.size());
  if (count > 0) {
    text.append(block.data(), static_cast<size_t>(count));
  } else if (count == 0 || errno != EINTR) {
    from.reset();
  }
}

void take_whole_lines(std::string& text, const std::function<void(const std::string&)>& take) {
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    take(text.substr(0, end));
    text.erase(0, end + 1);
  }
}

}  // namespace

ChildEnd run_child(const std::vector<std::string>& words,
                   const std::function<void(const std::string&)>& take_line) {
  auto [out, out_end] = make_pipe();
  auto [errors, errors_end] = make_pipe();
  Child child(words, out_end, errors_end);
  out_end.reset();
  errors_end.reset();
  ChildEnd ended;
  std::string lines;
  // Whoever it has started may hold the pipes open longer than it lives.
  while ((out.open() || errors.open()) || !child.has_ended(false)) {
    std::array<pollfd, 2> watched = {{{out.number(), POLLIN, 0}, {errors.number(), POLLIN, 0}}};
    const int ready = poll(watched.data(), watched.size(), kGlance);
    if (stop_requested()) throw Stopped{};
    if (ready > 0 && watched[0].revents != 0) read_some(out, lines);
    if (ready > 0 && watched[1].revents != 0) read_some(errors, ended.errors);
    take_whole_lines(lines, take_line);
    if (ended.errors.size() > 2 * kKeptErrors) ended.errors.erase(0, ended.errors.size() - kKeptErrors);
    if (ready == 0 && child.has_ended(false)) break;
  }
  child.has_ended(true);
  if (!lines.empty()) take_line(lines);
  if (ended.errors.size() > kKeptErrors) ended.errors.erase(0, ended.errors.size() - kKeptErrors);
  if (WIFSIGNALED(child.status())) ended.signal = WTERMSIG(child.status());
  if (WIFEXITED(child.status())) ended.code = WEXITSTATUS(child.status());
  return ended;
}

}  // namespace bilens
