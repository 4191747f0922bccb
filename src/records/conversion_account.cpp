#include "bilens/records/conversion_account.h"

namespace bilens {

const RecordTable<SampleTexts>& SampleTexts::record() {
  using R = SampleTexts;
  static const auto table =
      RecordTable<R>()
          .field("prompt", &R::prompt, "The prompt.")
          .field("teacher", &R::teacher, "The prompt, continued by the teacher.")
          .field("untrained", &R::untrained, "The same by the model before the first step.")
          .field("finished", &R::finished, "The same by the finished model.");
  return table;
}

const RecordTable<ConversionAccount>& ConversionAccount::record() {
  using R = ConversionAccount;
  static const auto table =
      RecordTable<R>()
          .field("teacher", &R::teacher, "Path of the original.")
          .field("teacher_sha256", &R::teacher_sha256, "SHA-256 of the original's weights.")
          .added_later()
          .field("converted", &R::converted,
                 "False where the gated model was trained on as it is (`\"baseline\": \"continue\"`).")
          .field("calibration", &R::calibration, "What the closed-form stage came to.")
          .omitted()
          .field("untrained", &R::untrained,
                 "The model before the first step beside its teacher, on the first `train.validation_tokens` "
                 "tokens "
                 "of the validation part.")
          .omitted()
          .field("teacher_parameters", &R::teacher_parameters, "Parameters of the original.", "parameters")
          .natural()
          .field("parameters", &R::parameters, "Parameters of the finished model.", "parameters")
          .natural()
          .field("trained_tokens", &R::trained_tokens, "Tokens that the steps saw.", "tokens")
          .natural()
          .field("training_flops", &R::training_flops,
                 "Floating-point operations of all steps, the teacher's forward pass included.", "operations")
          .added_later()
          .field("epochs", &R::epochs, "Passes over the training part that the steps made.", "epochs")
          .field("validation", &R::validation,
                 "The finished model beside its teacher on the validation part: in float32, of the weights "
                 "as they "
                 "are written, rounded to the teacher's dtype.")
          .field("test", &R::test, "The same on the test part.")
          .field("samples", &R::samples, "What three models make of the prompt of `train.sample`.")
          .omitted();
  return table;
}

ConversionRecord conversion_of(const ConversionAccount& account) {
  return {account.teacher, account.teacher_sha256, account.validation, account.test};
}

}  // namespace bilens
