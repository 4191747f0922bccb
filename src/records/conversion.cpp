#include "bilens/records/conversion.h"

namespace bilens {

const RecordTable<SeenBesideTeacher>& SeenBesideTeacher::record() {
  using R = SeenBesideTeacher;
  static const auto table =
      RecordTable<R>()
          .field("tokens", &R::tokens, "How many tokens were predicted.", "tokens")
          .natural()
          .field("loss", &R::loss, "Cross-entropy of the model.", "nats a token")
          .field("teacher_loss", &R::teacher_loss, "Cross-entropy of its teacher.", "nats a token")
          .field("divergence", &R::divergence, "KL of the teacher's next token to the model's.",
                 "nats a token")
          .field("agreement", &R::agreement, "Share of tokens where both have the same likeliest next token.")
          .field("layer_r2", &R::layer_r2,
                 "R² of the residual stream behind each layer, against the teacher's; null where the "
                 "teacher's is constant.");
  return table;
}

const RecordTable<ConversionRecord>& ConversionRecord::record() {
  using R = ConversionRecord;
  static const auto table =
      RecordTable<R>()
          .field("teacher", &R::teacher, "Path of the original.")
          .added_later()
          .field("teacher_sha256", &R::teacher_sha256, "SHA-256 of the original's weights.")
          .added_later()
          .field("validation", &R::validation, "The model beside its teacher on the validation part.")
          .field("test", &R::test, "The same on the test part.");
  return table;
}

}  // namespace bilens
