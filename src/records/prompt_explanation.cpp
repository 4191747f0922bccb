#include "bilens/records/prompt_explanation.h"

namespace bilens {

const RecordTable<PromptTermRecord>& PromptTermRecord::record() {
  using R = PromptTermRecord;
  static const auto table =
      RecordTable<R>()
          .all_of(ExplanationTerm::record())
          .field("nearest", &R::nearest, "The tokens nearest to v, and those nearest to -v.");
  return table;
}

const RecordTable<PromptLayer>& PromptLayer::record() {
  using R = PromptLayer;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .natural()
          .field("attention", &R::attention, "What its attention adds to the logit.")
          .field("eigenvectors", &R::eigenvectors,
                 "Contributions of all eigenvectors of its MLP, listed in `terms` or not.")
          .field("linear", &R::linear, "What the MLP's biases add.")
          .field("remainder", &R::remainder,
                 "What a gated MLP adds beyond its surrogate; 0 for a bilinear one.")
          .field("output_rms", &R::output_rms,
                 "Root mean square of the MLP's output, by which a norm behind it divides: all that the MLP "
                 "adds is "
                 "divided by it; absent without such a norm.")
          .omitted();
  return table;
}

const RecordTable<PromptExplanationRecord>& PromptExplanationRecord::record() {
  using R = PromptExplanationRecord;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("surrogate", &R::surrogate,
                 "What stands for the MLPs of a gated model; null for a bilinear one.")
          .field("prompt", &R::prompt, "The text; of token ids, their names.")
          .field("tokens", &R::tokens, "Its tokens.")
          .field("token", &R::token, "The token whose logit is explained.")
          .field("minus", &R::minus,
                 "The token whose logit is subtracted; null stands for the mean of all logits.")
          .field("logit", &R::logit, "The difference as the model computes it, in float32.")
          .field("sum", &R::sum, "The same in float64: `embedding` + all of `layers`.")
          .field("embedding", &R::embedding, "What the last token's embedding adds.")
          .field("rms", &R::rms,
                 "Root mean square of the last residual stream, by which the last norm divides.")
          .field(
              "soft_cap", &R::soft_cap,
              "c of a model whose logits are c tanh(z/c): the difference is that of z, in front of the cap; "
              "absent without one.")
          .omitted()
          .field("layers", &R::layers, "What each layer adds.")
          .field(
              "terms", &R::terms,
              "The 20 largest contributions of eigenvectors of all layers; x is the input at the last token.")
          .field("other_terms", &R::other_terms, "Sum of the contributions of all other eigenvectors.");
  return table;
}

std::string PromptVector::name(int64_t term) { return "term_" + std::to_string(term); }

const TensorTable<PromptVector>& PromptVector::tensors() {
  static const auto table = TensorTable<PromptVector>().tensor(
      "", &PromptVector::vector, "hidden_size", StoredAs::kFloat64, "the eigenvector of entry I of `terms`");
  return table;
}

}  // namespace bilens
