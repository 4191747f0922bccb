#include "bilens/data/token_name.h"

namespace bilens {

Json to_json(const TokenName& token) {
  return std::visit([](const auto& value) { return Json(value); }, token);
}

Json token_names_schema(const std::string& meaning, int64_t least) {
  const Json token = {{"description", "A word, a piece or a number."},
                      {"anyOf", {{{"type", "string"}}, {{"type", "integer"}, {"minimum", 0}}}}};
  if (least > 0) return list_schema(meaning, token);
  Json schema = {{"type", "array"}, {"items", token}};
  if (!meaning.empty()) schema["description"] = meaning;
  return schema;
}

std::vector<TokenName> read_token_names(const Json& list, const std::string&, std::vector<Problem>&) {
  std::vector<TokenName> tokens;
  for (const auto& token : list) {
    tokens.push_back(token.is_string() ? TokenName(token.get<std::string>())
                                       : TokenName(token.get<int64_t>()));
  }
  return tokens;
}

Json write_token_names(const std::vector<TokenName>& tokens) {
  Json list = Json::array();
  for (const auto& token : tokens) list.push_back(to_json(token));
  return list;
}

}  // namespace bilens
