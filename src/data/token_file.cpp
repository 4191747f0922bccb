#include "bilens/data/token_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "bilens/data/token_layout.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

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

/// Why an id does not fit, and what to do about it.
Error misfit(const fs::path& path, const TokenLayout& layout, int64_t vocabulary, int64_t id, int64_t place) {
  std::string fix = "Use the token file that was made with the model's tokenizer.";
  if (layout.guessed)
    fix += " Or its ids are of another dtype. " + how_to_say_dtype(path, layout.width() == 2
                                                                             ? "uint32, int64, int32 or uint8"
                                                                             : "uint16, int64 or uint8");
  return Error(ExitCode::kBadInput,
               {path.string(), "ids below the vocabulary's size, " + std::to_string(vocabulary),
                std::to_string(id) + " as token " + std::to_string(place), fix});
}

/// A part of a token file, in the mapped file.
struct Part {
  fs::path path;
  TokenLayout layout;
  int64_t begin, end;
  const std::byte* bytes;  // of the first id of the part

  int64_t size() const { return end - begin; }
};

/// Notes where documents start, and copies the ids where `target` is given. @throws Error as misfit
template <class Id, class Target>
std::vector<int64_t> read_ids_as(const Part& part, int64_t vocabulary,
                                 const std::vector<int64_t>& begins_document, Target* target) {
  std::vector<int64_t> starts = {0};
  for (int64_t i = 0; i < part.size(); ++i) {
    Id stored;
    std::memcpy(&stored, part.bytes + i * static_cast<int64_t>(sizeof(Id)), sizeof(Id));
    const auto id = static_cast<int64_t>(stored);
    if (id < 0 || id >= vocabulary) throw misfit(part.path, part.layout, vocabulary, id, part.begin + i);
    if (target != nullptr) target[i] = static_cast<Target>(id);
    const bool begins =
        std::find(begins_document.begin(), begins_document.end(), id) != begins_document.end();
    if (begins && i > 0) starts.push_back(i);
  }
  return starts;
}

template <class Target>
std::vector<int64_t> read_ids(const Part& part, int64_t vocabulary,
                              const std::vector<int64_t>& begins_document, Target* target) {
  const auto as = [&](auto id) {
    return read_ids_as<decltype(id)>(part, vocabulary, begins_document, target);
  };
  switch (part.layout.dtype) {
    case at::kByte: return as(uint8_t{});
    case at::kChar: return as(int8_t{});
    case at::kUInt16: return as(uint16_t{});
    case at::kShort: return as(int16_t{});
    case at::kUInt32: return as(uint32_t{});
    case at::kInt: return as(int32_t{});
    case at::kUInt64: return as(uint64_t{});
    default: return as(int64_t{});
  }
}

}  // namespace

std::vector<int64_t> tokens_that_begin_documents(const TextDataConfig& config, std::optional<int64_t> bos,
                                                 const std::vector<int64_t>& eos) {
  if (config.document_token) return {*config.document_token};
  return bos ? std::vector<int64_t>{*bos} : eos;
}

TokenStream load_token_file(const TextDataConfig& config, int64_t vocabulary,
                            const std::vector<int64_t>& begins_document) {
  const fs::path path = config.path;
  if (config.document_token && *config.document_token >= vocabulary) {
    throw Error(ExitCode::kUsage,
                {"data.document_token", "an id below the vocabulary's size, " + std::to_string(vocabulary),
                 std::to_string(*config.document_token), ""});
  }
  const auto layout = read_token_layout(path, config.dtype, vocabulary);
  const auto [begin, end] = part_of_file(config, layout.count);
  if (begin == end) {
    throw Error(ExitCode::kBadInput, {path.string(), "tokens in the chosen part", "none",
                                      "Use a longer file, held_out above 0, or split=all."});
  }
  const int64_t width = layout.width(), first = layout.offset + begin * width;
  const auto mapped =
      at::from_file(path.string(), /*shared=*/false, layout.offset + layout.count * width, at::kByte);
  const Part part{path, layout, begin, end,
                  reinterpret_cast<const std::byte*>(mapped.const_data_ptr<uint8_t>()) + first};
  // Takes the mapped file itself where its dtype is one that a stream has.
  const auto stream_dtype = width == 2 ? at::kUInt16 : at::kInt;
  if ((width == 2 || width == 4) && first % width == 0) {
    auto starts = read_ids<int32_t>(part, vocabulary, begins_document, nullptr);
    return {mapped.narrow(0, first, part.size() * width).view(stream_dtype), std::move(starts)};
  }
  const auto ids = at::empty({part.size()}, id_type(vocabulary));
  auto starts = id_type(vocabulary) == at::kUInt16
                    ? read_ids(part, vocabulary, begins_document, ids.mutable_data_ptr<uint16_t>())
                    : read_ids(part, vocabulary, begins_document, ids.mutable_data_ptr<int32_t>());
  return {ids, std::move(starts)};
}

}  // namespace bilens
