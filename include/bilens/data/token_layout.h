#pragma once

#include <ATen/core/ScalarType.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bilens {

/// Where the ids lie in a token file, and what each is.
struct TokenLayout {
  int64_t offset = 0, count = 0;
  at::ScalarType dtype = at::kUInt16;  // an integer of 1 to 8 bytes, little-endian
  bool guessed = false;                // no header and nobody says the dtype

  int64_t width() const { return static_cast<int64_t>(c10::elementSize(dtype)); }
};

/// The dtypes that a headerless file may be said to have, by their names: uint8, uint16, uint32, int32,
/// int64.
const std::vector<std::pair<std::string, at::ScalarType>>& token_dtypes();

/// Decides how a token file is read: by its header, where it has one (llm.c's, NumPy's), else as `asked`,
/// else as uint16, or uint32 where the vocabulary exceeds 65,536. A guess is held against the first bytes.
/// @param asked the dtype that the user names
/// @throws Error(kBadInput): missing; a size or a header that does not fit; another format by its first bytes
/// (lit-gpt's, archives, text, ...); a guess where the bytes look like wider ids
/// Source: llm.c, dev/data/data_common.py; numpy/lib/format.py; lit-gpt, packed_dataset.py
TokenLayout read_token_layout(const std::filesystem::path& path, std::optional<at::ScalarType> asked,
                              int64_t vocabulary);

/// How to say a dtype: "Say what it holds with data.dtype=uint32, on the command line --data
/// tokens,dtype=...".
std::string how_to_say_dtype(const std::filesystem::path& path, const std::string& dtypes);

}  // namespace bilens
