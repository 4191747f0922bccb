#include "bilens/core/kind_table.h"

namespace bilens {

Json kind_schema(Json schema, const std::string& tag) {
  schema.at("properties").at(tag).erase("default");
  if (schema.value("description", "").empty()) schema.erase("description");
  Json required = Json::array({tag});
  for (const auto& name : schema.value("required", Json::array()))
    if (name != tag) required.push_back(name);
  schema["required"] = required;
  return schema;
}

std::vector<std::string> kind_words(const Json& schema, const std::string& tag) {
  return schema.at("properties").at(tag).at("enum");
}

std::optional<size_t> kind_of(const Json& object, const std::string& tag, const std::vector<Json>& schemas,
                              const std::string& fix, const std::string& where,
                              std::vector<Problem>& problems) {
  const bool given = object.is_object() && object.contains(tag);
  const Json word = given ? object.at(tag) : Json();
  std::vector<std::string> all;
  for (size_t kind = 0; kind < schemas.size(); ++kind) {
    for (const auto& known : kind_words(schemas[kind], tag)) {
      if (word == known) return kind;
      all.push_back(known);
    }
  }
  if (given) {
    check_value(word, choice_schema("", all), key_path(where, tag), problems);
  } else {
    const std::string words = "one of \"" + join(all, "\", \"") + "\"";
    problems.push_back(object.is_object()
                           ? Problem{key_path(where, tag), words, "none", fix}
                           : Problem{where, "an object with a " + tag + ", " + words, describe(object), fix});
  }
  return std::nullopt;
}

}  // namespace bilens
