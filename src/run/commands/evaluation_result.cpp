#include "evaluation_result.h"

#include <cinttypes>

#include "bilens/core/text.h"

namespace bilens {

const RecordTable<TextEvaluated>& TextEvaluated::record() {
  using R = TextEvaluated;
  static const auto table = RecordTable<R>()
                                .field("model", &R::model, "Path of the model.")
                                .field("tokens", &R::tokens, "How many tokens were predicted.", "tokens")
                                .field("loss", &R::loss, "Mean cross-entropy.", "nats a token")
                                .field("perplexity", &R::perplexity, "Its exponential.")
                                .field("context", &R::context, "Length of the windows.", "tokens");
  return table;
}

std::string evaluation_in_words(const ImageResult& result) {
  return format("loss %.4f  accuracy %.2f%%  (%" PRId64 " images)  ", result.loss, 100 * result.accuracy,
                result.examples) +
         result.model + "\n";
}

std::string evaluation_in_words(const TextEvaluated& result) {
  return format("loss %.4f nats/token  perplexity %.3f  (%" PRId64 " tokens)  ", result.loss,
                result.perplexity, result.tokens) +
         result.model + "\n";
}

}  // namespace bilens
