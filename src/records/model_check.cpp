#include "bilens/records/model_check.h"

namespace bilens {

const RecordTable<CheckedQuantity>& CheckedQuantity::record() {
  using R = CheckedQuantity;
  static const auto table =
      RecordTable<R>()
          .field(
              "name", &R::name,
              "\"embedding\"; \"layer N\", the residual stream behind it, of the last layer behind the last "
              "norm too; \"logits\"; \"loss\".")
          .field("largest", &R::largest, "Largest absolute number of transformers' in float32.")
          .field("difference", &R::difference,
                 "Largest absolute difference of two numbers, here and in transformers in the same dtype.")
          .field(
              "error", &R::error,
              "What the tolerance is for. In float32 `difference` by `largest`, of the loss the difference "
              "of the means. In other dtypes the root mean square of the difference to transformers in "
              "float32, by that of transformers.")
          .field("reference_error", &R::reference_error,
                 "The same of transformers in this dtype; null in float32.")
          .field("tolerance", &R::tolerance, "The largest `error` that is rounding.")
          .field("within", &R::within, "Whether it is.");
  return table;
}

const RecordTable<CheckedDtype>& CheckedDtype::record() {
  using R = CheckedDtype;
  static const auto table =
      RecordTable<R>()
          .field("dtype", &R::dtype, "In what was computed here.")
          .field("reference_dtype", &R::reference_dtype, "In what transformers computed.")
          .field("loss", &R::loss, "Mean loss here.", "nats a token")
          .field("reference_loss", &R::reference_loss, "Mean loss in transformers.", "nats a token")
          .field("quantities", &R::quantities, "What was compared, in the order of the computation.");
  return table;
}

const RecordTable<CheckedTokenizer>& CheckedTokenizer::record() {
  using R = CheckedTokenizer;
  static const auto table =
      RecordTable<R>()
          .field("reference_class", &R::reference_class, "The class that AutoTokenizer chose.")
          .field("ids", &R::ids, "How many ids the text has here.", "tokens")
          .natural()
          .field("reference_ids", &R::reference_ids, "How many it has in transformers.", "tokens")
          .natural()
          .field("first_difference", &R::first_difference,
                 "Place of the first id that differs; null where none does.")
          .field("same_as_file", &R::same_as_file,
                 "Whether the ids here are those of `tokenizer.json` alone; null where there is none.")
          .field("file_same_as_reference", &R::file_same_as_reference,
                 "Whether those are the class's; where not, the class replaces parts of the file.")
          .field("within", &R::within, "Whether the ids here are right: the class's, or the file's.");
  return table;
}

const RecordTable<ModelCheck>& ModelCheck::record() {
  using R = ModelCheck;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("model_sha256", &R::model_sha256, "SHA-256 of its weights.")
          .field("version", &R::version, "Version of bilens.")
          .field("device", &R::device, "Where bilens computed.")
          .field("transformers", &R::transformers, "Version of transformers.")
          .field("torch", &R::torch, "Version of the torch that transformers ran on.")
          .field("model_class", &R::model_class, "The class of transformers that computed the model.")
          .field("reference", &R::reference, "The Python that ran it, or the file of its numbers.")
          .field("rows", &R::rows, "How many rows of tokens both were given.")
          .natural()
          .field("length", &R::length, "How long they are.", "tokens")
          .natural()
          .field("dtypes", &R::dtypes, "The comparison in each dtype.")
          .field("tokenizer", &R::tokenizer, "The tokenization of a text; null where none was compared.")
          .field("passed", &R::passed, "Whether all differences are rounding.")
          .field("failures", &R::failures, "What is not within its tolerance, in words.")
          .field("notes", &R::notes, "What was not compared, and what else is to be known, in words.");
  return table;
}

}  // namespace bilens
