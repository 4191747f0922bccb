#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/model/stored_model.h"
#include "bilens/nn/gate.h"

namespace bilens {

// The config.json of the code of arXiv 2410.08417 (github.com/tdooms/bilinear-decomposition) is a dump of all
// its keys. Those of these tables change what a trained model computes, or say what the weights say too; all
// others are passed over.

/// The MLPs of both kinds of models.
struct PaperMlp {
  bool bilinear = true;     // false: an MLP without a second factor, which is refused
  Gate gate = Gate::kNone;  // f of f(left) * right: null, or a name, or true for ReLU (an early version)

  static const FieldTable<PaperMlp>& fields();
};

/// An image classifier's; what is not given is as the weights have it.
struct PaperClassifierConfig : PaperMlp {
  bool residual = false;
  bool normalization = false, rms_norm = false;  // refused
  std::optional<int64_t> d_input, d_output, d_hidden, n_layer;
  std::optional<bool> bias;

  static const FieldTable<PaperClassifierConfig>& fields();
};

/// A language model's.
struct PaperTransformerConfig : PaperMlp {
  bool attention2 = false;    // refused
  bool normalization = true;  // refused where it is false
  bool scale_attn = true;
  std::optional<int64_t> d_model, d_hidden, n_layer, n_head, n_ctx;  // positive
  std::optional<int64_t> bos_token_id, eos_token_id;                 // not negative; others are passed over

  static const FieldTable<PaperTransformerConfig>& fields();
};

/// Whether a config.json is of the papers' code, by keys that it alone has.
bool has_own_keys(const Json& config);

/// The members with these names of a directory's config.json; of a file, of the one beside it where that has
/// the code's own keys. Null without one. @throws Error(kBadInput) for a file that is no JSON object
Json members_of_paper_config(const StoredModel& model, const std::vector<std::string>& names);

/// Those by the table of C; nothing without a file. @throws Error(kBadInput)
template <class C>
std::optional<C> read_paper_config(const StoredModel& model) {
  const Json given = members_of_paper_config(model, C::fields().names());
  if (given.is_null()) return std::nullopt;
  return C::fields().parse_or_throw(given, model.where("config.json"), ExitCode::kBadInput);
}

/// @param given what the config says at `member` @param by_weights what the weights say
/// @throws Error(kBadInput) where they differ
template <class C, class T>
void require_as_weights(const C& given, std::optional<T> C::*member, const T& by_weights,
                        const std::string& where) {
  const auto& value = given.*member;
  if (!value || *value == by_weights) return;
  throw Error(ExitCode::kBadInput, {key_path(where, C::fields().name_of(member)),
                                    Json(by_weights).dump() + ", as the weights have it", Json(*value).dump(),
                                    "config.json and the weights do not belong together."});
}

}  // namespace bilens
