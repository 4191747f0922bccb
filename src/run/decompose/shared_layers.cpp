#include "shared_layers.h"

#include <chrono>
#include <thread>
#include <utility>

#include "bilens/core/log.h"
#include "bilens/core/stop.h"
#include "bilens/records/decomposition.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

std::string name_of(int64_t layer) { return "layer_" + std::to_string(layer); }

bool is_finished(const fs::path& directory) { return fs::exists(directory / kDecompositionFile); }

/// Waits for other processes, and says so once.
class Waiting {
 public:
  explicit Waiting(fs::path directory) : directory_(std::move(directory)) {}

  /// @throws Stopped
  void a_little() {
    if (!std::exchange(told_, true))
      log_info(directory_.string() + ": waiting for another bilens, which is at what is left");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (stop_requested()) throw Stopped{};
  }

 private:
  fs::path directory_;
  bool told_ = false;
};

/// Asks until there is a lock. @return nothing as in lock_to_resume
template <class Take>
auto take(const fs::path& directory, Others others, const Take& try_to) -> decltype(try_to()) {
  for (Waiting waiting(directory);; waiting.a_little()) {
    auto lock = try_to();
    if (is_finished(directory)) return std::nullopt;  // nothing tells any more how far its layers are
    if (lock || others == Others::kLeaveTo) return lock;
  }
}

}  // namespace

std::optional<FolderLock> lock_to_resume(const fs::path& directory, const std::optional<std::string>& job,
                                         Others others) {
  return take(directory, others, [&]() -> std::optional<FolderLock> {
    if (!job) return DirectoryLock::take(directory);
    return SharedDirectoryLock::take(directory, *job);
  });
}

SharedLayers::SharedLayers(fs::path directory, std::vector<int64_t> layers)
    : directory_(std::move(directory)), layers_(std::move(layers)) {}

bool SharedLayers::for_each(Others others, const std::function<void(int64_t)>& work) const {
  auto left = layers_;
  for (Waiting waiting(directory_); !left.empty();) {
    std::vector<int64_t> busy;
    for (const int64_t layer : left) {
      if (stop_requested()) throw Stopped{};
      const auto claimed = FileLock::take(lock_file(directory_, name_of(layer)));
      if (is_finished(directory_)) return false;
      claimed ? work(layer) : busy.push_back(layer);
    }
    if (busy.size() == left.size()) {
      if (others == Others::kLeaveTo) return false;
      waiting.a_little();
    }
    left = busy;
  }
  return true;
}

std::optional<std::vector<FileLock>> SharedLayers::claim_all(Others others) const {
  std::vector<FileLock> claims;
  // The end first: who has it waits for those at a layer, and these for nobody.
  std::vector<std::string> parts = {"end"};
  for (const int64_t layer : layers_) parts.push_back(name_of(layer));
  for (const auto& part : parts) {
    auto claimed = take(directory_, claims.empty() ? others : Others::kWaitFor,
                        [&] { return FileLock::take(lock_file(directory_, part)); });
    if (!claimed) return std::nullopt;
    claims.push_back(std::move(*claimed));
  }
  return claims;
}

}  // namespace bilens
