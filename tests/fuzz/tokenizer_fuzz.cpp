#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "bilens/core/error.h"
#include "bilens/data/tokenizer.h"

namespace {

/// A tokenizer.json that tokenizes the text behind its NUL byte: the parts of a stream are the whole.
void try_tokenizer(const std::string& file, const std::string& text) {
  bilens::Tokenizer tokenizer(file);
  const auto ids = tokenizer.encode(text);
  const auto whole = tokenizer.decode(ids);
  bilens::StreamingDecoder decoder(tokenizer);
  std::string parts;
  for (const auto id : ids) {
    if (!tokenizer.has(id)) __builtin_trap();
    tokenizer.shown(id);
    parts += decoder.next(id);
  }
  if (parts + decoder.finish() != whole) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int number = memfd_create("tokenizer", MFD_CLOEXEC);
  // The link has a name that says what it is.
  static const std::string file = [] {
    const auto name = "/tmp/bilens-fuzz-" + std::to_string(getpid()) + ".json";
    if (symlink(("/proc/self/fd/" + std::to_string(number)).c_str(), name.c_str()) != 0) __builtin_trap();
    return name;
  }();
  const std::string input(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(input.find('\0'), size);
  if (ftruncate(number, 0) != 0 || pwrite(number, data, end, 0) != static_cast<ssize_t>(end)) return -1;
  try {
    try_tokenizer(file, end < size ? input.substr(end + 1) : "ab c\xC3\xA9 12\n");
  } catch (const bilens::Error&) {
  }
  return 0;
}
