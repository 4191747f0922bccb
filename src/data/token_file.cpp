#include "bilens/data/token_file.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <fstream>

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kHeaderBytes = 256 * 4;

Error bad(const fs::path& path, const std::string& expected, const std::string& found,
          const std::string& fix) {
  return Error(ExitCode::kBadInput, {path.string(), expected, found, fix});
}

/// Where the ids lie in the file, and how wide each is.
struct Layout {
  int64_t offset = 0, width = 2, count = 0;
};

Layout read_layout(const fs::path& path, int64_t vocabulary) {
  if (!fs::is_regular_file(path))
    throw bad(path, "a token file", fs::is_directory(path) ? "a folder" : "nothing there", "Check the path.");
  const auto bytes = static_cast<int64_t>(fs::file_size(path));
  std::array<int32_t, 3> header = {};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(header.data()), sizeof header);
  const auto [magic, version, count] = header;
  const bool gpt2 = magic == 20240520, llama3 = magic == 20240801;
  if (bytes < kHeaderBytes || !(gpt2 || llama3)) {
    const int64_t width = vocabulary > 65536 ? 4 : 2;
    if (bytes == 0 || bytes % width != 0) {
      throw bad(path, "token ids of " + std::to_string(width) + " bytes each",
                std::to_string(bytes) + " bytes",
                "Check that the file is whole and belongs to this vocabulary.");
    }
    return {0, width, bytes / width};
  }
  if (version != (gpt2 ? 1 : 7)) {
    throw bad(path, gpt2 ? "version 1 of llm.c's format" : "version 7 of llm.c's format",
              "version " + std::to_string(version), "Write it again with a known version.");
  }
  const int64_t width = gpt2 ? 2 : 4;
  if (count <= 0 || kHeaderBytes + count * width != bytes) {
    throw bad(path, "as many tokens as its header says, " + std::to_string(count),
              std::to_string((bytes - kHeaderBytes) / width) + " (" + std::to_string(bytes) + " bytes)",
              "The file is incomplete: obtain it again.");
  }
  return {kHeaderBytes, width, count};
}

/// [begin, end) of the part among `count` tokens.
std::pair<int64_t, int64_t> part_of_file(const TextDataConfig& config, int64_t count) {
  const auto held = static_cast<int64_t>(std::llround(config.held_out * static_cast<double>(count)));
  switch (config.split) {
    case TextSplit::kTrain: return {0, count - 2 * held};
    case TextSplit::kValidation: return {count - 2 * held, count - held};
    case TextSplit::kTest: return {count - held, count};
    case TextSplit::kAll: break;
  }
  return {0, count};
}

/// Notes where documents start. @throws Error for an id beyond the vocabulary; `first` is the part's place.
template <class Id>
std::vector<int64_t> check_ids(const at::Tensor& ids, int64_t first, int64_t vocabulary, int64_t bos,
                               const fs::path& path) {
  std::vector<int64_t> starts = {0};
  const Id* values = reinterpret_cast<const Id*>(ids.const_data_ptr());
  for (int64_t i = 0; i < ids.size(0); ++i) {
    const auto id = static_cast<int64_t>(values[i]);
    if (id >= vocabulary) {
      throw bad(path, "ids below the vocabulary's size, " + std::to_string(vocabulary),
                std::to_string(id) + " as token " + std::to_string(first + i),
                "Use the token file that was made with the model's tokenizer.");
    }
    if (id == bos && i > 0) starts.push_back(i);
  }
  return starts;
}

}  // namespace

TokenStream load_token_file(const TextDataConfig& config, int64_t vocabulary, int64_t bos) {
  const fs::path path = config.path;
  const auto layout = read_layout(path, vocabulary);
  const auto [begin, end] = part_of_file(config, layout.count);
  if (begin == end)
    throw bad(path, "tokens in the chosen part", "none",
              "Use a longer file, held_out above 0, or split=all.");
  const auto mapped =
      at::from_file(path.string(), /*shared=*/false, layout.offset + layout.count * layout.width, at::kByte);
  const auto ids = mapped.narrow(0, layout.offset + begin * layout.width, (end - begin) * layout.width)
                       .view(layout.width == 2 ? at::kUInt16 : at::kInt);
  const auto check = layout.width == 2 ? check_ids<uint16_t> : check_ids<uint32_t>;
  return {ids, check(ids, begin, vocabulary, bos, path)};
}

}  // namespace bilens
