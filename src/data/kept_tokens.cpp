#include "bilens/data/kept_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "bilens/core/log.h"
#include "bilens/core/sha256.h"
#include "bilens/core/version.h"
#include "bilens/io/safetensors.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr size_t kDigits = 32;  // of the hash, in the file's name

/// Hash of all that the ids follow from; another version may read texts or tokenizers otherwise.
std::string hash_of(const TextDataConfig& config, const Tokenizer& tokenizer) {
  std::string all = std::string(version()) + "\n" + split_name(config.split) + "\n" +
                    sha256_of_file(config.path) + "\n" + std::to_string(tokenizer.vocabulary_size()) + "\n";
  for (const auto& file : tokenizer.files())
    all += file.filename().string() + " " + sha256_of_file(file) + "\n";
  Sha256 hash;
  hash.update(all.data(), all.size());
  return hash.hex().substr(0, kDigits);
}

/// In the stream's order, from 0, each before the end.
bool are_starts(const std::vector<int64_t>& starts, int64_t size) {
  return !starts.empty() && starts.front() == 0 && starts.back() < size &&
         std::is_sorted(starts.begin(), starts.end(), std::less_equal<>());
}

template <class Id>
bool are_ids(const at::Tensor& ids, int64_t vocabulary) {
  const Id* begin = ids.const_data_ptr<Id>();
  return std::all_of(begin, begin + ids.numel(), [&](Id id) { return id >= 0 && id < vocabulary; });
}

bool are_ids(const at::Tensor& ids, int64_t vocabulary) {
  if (ids.dim() != 1 || ids.scalar_type() != id_type(vocabulary)) return false;
  return ids.scalar_type() == at::kInt ? are_ids<int32_t>(ids, vocabulary)
                                       : are_ids<uint16_t>(ids, vocabulary);
}

}  // namespace

KeptTokens::KeptTokens(const TextDataConfig& config, const Tokenizer& tokenizer)
    : vocabulary_(tokenizer.vocabulary_size()) {
  fs::create_directories(config.keep_in);
  file_ = fs::path(config.keep_in) /
          (split_name(config.split) + "-" + hash_of(config, tokenizer) + ".safetensors");
}

std::optional<TokenStream> KeptTokens::find() const {
  if (!fs::exists(file_)) return std::nullopt;
  const SafetensorsFile file(file_);
  const auto starts = file.tensor("starts");
  TokenStream stream{file.tensor("ids"), {}};
  if (starts.scalar_type() == at::kLong && starts.is_contiguous())
    stream.starts.assign(starts.const_data_ptr<int64_t>(), starts.const_data_ptr<int64_t>() + starts.numel());
  if (!are_starts(stream.starts, stream.size()) || !are_ids(stream.ids, vocabulary_)) {
    throw Error(ExitCode::kBadInput, {file_.string(), "token ids, as they were kept", "others",
                                      "Remove the file: the ids are made anew."});
  }
  log_info("token ids: " + file_.string());
  return stream;
}

void KeptTokens::keep(const TokenStream& stream) const {
  const auto count = static_cast<int64_t>(stream.starts.size());
  const auto starts = at::from_blob(const_cast<int64_t*>(stream.starts.data()), {count}, at::kLong);
  write_safetensors(file_, {{"ids", stream.ids}, {"starts", starts}});
  log_info("token ids are kept: " + file_.string());
}

}  // namespace bilens
