#include "finetune_account.h"

#include "bilens/core/text.h"
#include "bilens/records/training_result.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kFewest = 3;  // tokens: of one that is predicted a variation is 0

/// One line; nothing of a part that was not looked at.
std::string seen_in_words(const char* part, const std::optional<SeenBesideTeacher>& seen) {
  if (!seen) return "";
  return format("%s loss %.4f nats/token (teacher %.4f), KL %.4f, top-1 agreement %.1f%%\n", part, seen->loss,
                seen->teacher_loss, seen->divergence, 100 * seen->agreement);
}

}  // namespace

std::optional<SeenBesideTeacher> compare_with_teacher(const TokenStream& part, Decoder& model,
                                                      Decoder& teacher, int64_t context,
                                                      const fs::path& file) {
  if (part.size() < kFewest) return std::nullopt;
  const auto [seen, documents] = compare_text(model, teacher, part, context);
  if (!file.empty()) {
    write_safetensors(file, DocumentLosses::tensors().write(documents, "", {}),
                      format_metadata(DocumentLosses::kFormat));
  }
  return seen;
}

Outcome outcome_of_account(const ConversionAccount& account, const fs::path& folder) {
  Outcome outcome;
  const FinetuneResult result{folder.string(), account.untrained, account.validation, account.test};
  outcome.results.push_back(FinetuneResult::record().write(result));
  outcome.text = seen_in_words("validation, untrained", result.untrained) +
                 seen_in_words("validation", result.validation) + seen_in_words("test", result.test) +
                 result.model + "\n";
  return outcome;
}

}  // namespace bilens
