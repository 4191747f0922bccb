#include "post_processor.h"

#include "byte_pair_model.h"

namespace bilens {

namespace {

std::vector<int32_t> ids_of_token(const JsonPart& special_tokens, const JsonPart& piece) {
  const auto name = piece.text("id");
  const auto token = special_tokens.find(name);
  if (!token) throw piece.wrong("a token of special_tokens", "\"" + name + "\"");
  std::vector<int32_t> ids;
  for (const auto& id : token->list("ids")) {
    const auto& json = id.json();
    if (!json.is_number_integer() || json < 0 || json > kLargestTokenId)
      throw id.wrong("a token id", describe(json));
    ids.push_back(json.get<int32_t>());
  }
  return ids;
}

}  // namespace

PostProcessor::PostProcessor(const JsonPart& part) {
  for (const auto& step : flatten_sequence(part, "processors")) {
    const auto type = step.type();
    if (type == "TemplateProcessing") {
      add_template(step);
    } else if (type != "ByteLevel") {  // which moves offsets alone
      throw step.unread(R"("TemplateProcessing", "ByteLevel" or "Sequence")");
    }
  }
}

void PostProcessor::add_template(const JsonPart& part) {
  std::vector<int32_t> first, last;
  int texts = 0;
  for (const auto& piece : part.list("single")) {
    if (piece.find("Sequence")) {
      ++texts;
    } else {
      const auto ids = ids_of_token(part.at("special_tokens"), piece.at("SpecialToken"));
      auto& side = texts == 0 ? first : last;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  if (texts != 1) throw part.at("single").wrong("the text once", std::to_string(texts) + " times");
  before.insert(before.begin(), first.begin(), first.end());
  behind.insert(behind.end(), last.begin(), last.end());
}

}  // namespace bilens
