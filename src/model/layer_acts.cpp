#include "bilens/model/layer_acts.h"

#include <algorithm>
#include <set>

#include "bilens/core/fields.h"

namespace bilens {

namespace {

std::vector<std::string> act_names() {
  std::vector<std::string> names;
  for (const auto& [name, gate] : hidden_act_names()) names.push_back(name);
  return names;
}

std::optional<Gate> gate_of_act(const Json& value) {
  for (const auto& [name, gate] : hidden_act_names())
    if (value == name) return gate;
  return std::nullopt;
}

bool share_one_gate(const std::vector<Gate>& gates) {
  std::set<Gate> others(gates.begin(), gates.end());
  others.erase(Gate::kNone);
  return others.size() <= 1;
}

}  // namespace

const std::vector<std::pair<std::string, Gate>>& hidden_act_names() {
  static const std::vector<std::pair<std::string, Gate>> names = {
      {"linear", Gate::kNone},       {"silu", Gate::kSilu},          {"swish", Gate::kSilu},
      {"gelu", Gate::kGelu},         {"gelu_python", Gate::kGelu},   {"gelu_pytorch_tanh", Gate::kGeluTanh},
      {"gelu_new", Gate::kGeluTanh}, {"gelu_fast", Gate::kGeluTanh}, {"gelu_python_tanh", Gate::kGeluTanh},
      {"relu", Gate::kRelu}};
  return names;
}

std::optional<std::vector<Gate>> read_layer_acts(const Json& config, const std::string& act_key,
                                                 std::optional<int64_t> layers, const std::string& where,
                                                 std::vector<Problem>& problems) {
  const Json act = config.value(act_key, Json()), list = config.value(kLayerActs, Json());
  const auto path = key_path(where, kLayerActs);
  if (act != kActByLayer) {
    if (!list.is_null()) {
      problems.push_back({path, std::string("none, or ") + act_key + " \"" + kActByLayer + "\" beside it",
                          describe(list) + " beside " + act_key + " " + describe(act),
                          "Remove the key that does not hold."});
    }
    return std::nullopt;
  }
  const auto before = problems.size();
  const Json names = choice_schema("", act_names());
  if (!check_value(list, list_schema("", names), path, problems)) return std::nullopt;
  if (layers && static_cast<int64_t>(list.size()) != *layers) {
    problems.push_back(
        {path, std::to_string(*layers) + " names, one a layer", std::to_string(list.size()), ""});
  }
  std::vector<Gate> gates;
  for (const Json& name : list)
    if (const auto gate = gate_of_act(name)) gates.push_back(*gate);
  if (!share_one_gate(gates)) {
    problems.push_back({path, "one activation beside \"linear\"", list.dump(),
                        "A model is gated in one way, or bilinear, in each of its layers."});
  }
  if (problems.size() != before) return std::nullopt;
  return gates;
}

Json layer_acts_json(const std::vector<Gate>& gates) {
  Json list = Json::array();
  for (const auto gate : gates) {
    const auto named = std::find_if(hidden_act_names().begin(), hidden_act_names().end(),
                                    [&](const auto& item) { return item.second == gate; });
    list.push_back(named->first);
  }
  return list;
}

}  // namespace bilens
