#include "weight_map.h"

#include <algorithm>
#include <set>

namespace bilens {

namespace {

const std::string kPlaceholder = "{layer}";

bool has_placeholder(const std::string& expression) {
  return expression.find(kPlaceholder) != std::string::npos;
}

/// The numbers that stand for "{layer}" in the names of the file; the one in the name where it has none.
std::set<int64_t> numbers_of(const Weights& weights, const std::string& gate) {
  const auto name = parse_tensor_expression(gate).name;
  if (!has_placeholder(name)) return {layer_number(name, 0)};
  const size_t at = name.find(kPlaceholder);
  const auto before = name.substr(0, at), behind = name.substr(at + kPlaceholder.size());
  std::set<int64_t> numbers;
  for (const auto& [tensor, info] : weights.tensors()) {
    if (!tensor.starts_with(before) || !tensor.ends_with(behind)) continue;
    if (tensor.size() <= before.size() + behind.size()) continue;
    const auto digits = tensor.substr(before.size(), tensor.size() - before.size() - behind.size());
    if (digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos)
      numbers.insert(std::stoll(digits));
  }
  if (numbers.empty()) {
    throw Error(ExitCode::kBadInput, {weights.path().string(), "tensors named " + name, "none",
                                      "`bilens inspect` lists the names."});
  }
  return numbers;
}

/// "net.blocks.3.mlp.w_m.weight" -> "net.blocks.3.", up to the last number; "" where there is none.
std::string block_of(const std::string& name) {
  size_t end = 0;
  for (size_t begin = 0; begin < name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    if (layer_number(name.substr(begin, dot - begin), -1) >= 0 && dot < name.size()) end = dot + 1;
    begin = dot + 1;
  }
  return name.substr(0, end);
}

}  // namespace

const FieldTable<WeightMap>& WeightMap::fields() {
  using C = WeightMap;
  static const FieldTable<C> table =
      FieldTable<C>(
          "Tensors under foreign names. A name may slice rows and transpose, \"w[0:512].T\"; {layer} in it "
          "stands "
          "for each layer's number. What is not named is found by the table of known names.")
          .text("gate", &C::gate, "W [d_hidden, d_in].")
          .text("up", &C::up, "V [d_hidden, d_in].")
          .text("down", &C::down, "P [d_out, d_hidden]; \"identity\": there is no down matrix.")
          .text("gate_bias", &C::gate_bias, "[d_hidden]; empty: the one beside the gate's matrix, if any.")
          .text("up_bias", &C::up_bias, "[d_hidden]; empty: the one beside the up matrix, if any.")
          .text("down_bias", &C::down_bias, "[d_out]; empty: the one beside the down matrix, if any.")
          .text("norm", &C::norm,
                "Gain [d_in] of the norm in front of the MLP; a bias beside it is taken too.")
          .choice("norm_gain", &C::one_plus,
                  "How norm and final_norm are stored: the gain itself, or less 1.",
                  {{"w", false}, {"1+w", true}})
          .text("embed", &C::embed, "E [d_in, d_input]: the first layer reads E x.")
          .text("head", &C::head, "H [outputs, d_out] behind the last layer: its rows are the outputs.")
          .text("final_norm", &C::final_norm, "Gain [d_out] of the norm in front of the head.");
  return table;
}

void check_weight_map(const WeightMap& map, std::vector<Problem>& problems) {
  if (map.gate.empty() != map.up.empty())
    problems.push_back({"weights", "gate and up, or neither", map.gate.empty() ? "no gate" : "no up", ""});
  if (!map.gate.empty() && map.gate == map.up) {
    problems.push_back({"weights", "different matrices for gate and up", "\"" + map.gate + "\" twice",
                        "A packed tensor is cut by rows: \"NAME[0:512]\" and \"NAME[512:1024]\"."});
  }
  if (map.names_layers() && map.down.empty()) {
    problems.push_back({"weights.down", "the down matrix beside gate and up", "none",
                        "Where there is none, say so: --set weights.down=identity."});
  }
  if (!map.final_norm.empty() && map.head.empty())
    problems.push_back({"weights.final_norm", "weights.head beside it", "none", ""});
  if (map.one_plus && map.norm.empty() && map.final_norm.empty())
    problems.push_back({"weights.norm_gain", "weights.norm or weights.final_norm beside it", "none", ""});
  if (!map.names_layers()) {
    for (const auto& [key, value] :
         {std::pair{"gate_bias", map.gate_bias}, {"up_bias", map.up_bias}, {"down_bias", map.down_bias}})
      if (!value.empty())
        problems.push_back(
            {std::string("weights.") + key, "weights.gate and weights.up beside it", "none", ""});
    if (!map.down.empty() && !map.says_identity())
      problems.push_back({"weights.down", "weights.gate and weights.up beside it, or \"identity\"",
                          "\"" + map.down + "\"", ""});
    return;
  }
  for (const auto& [key, value] : {std::pair{"up", map.up},
                                   {"down", map.says_identity() ? map.gate : map.down},
                                   {"gate_bias", map.gate_bias},
                                   {"up_bias", map.up_bias},
                                   {"down_bias", map.down_bias},
                                   {"norm", map.norm}}) {
    if (value.empty() || has_placeholder(value) == has_placeholder(map.gate)) continue;
    problems.push_back(
        {std::string("weights.") + key,
         has_placeholder(map.gate) ? "{layer} as in weights.gate" : "no {layer}, as in weights.gate",
         "\"" + value + "\"", ""});
  }
}

std::string WeightMap::first_named() const {
  for (const auto& [role, name] : {std::pair{"gate", gate},
                                   {"up", up},
                                   {"down", down},
                                   {"gate_bias", gate_bias},
                                   {"up_bias", up_bias},
                                   {"down_bias", down_bias},
                                   {"norm", norm},
                                   {"embed", embed},
                                   {"head", head},
                                   {"final_norm", final_norm}})
    if (!name.empty()) return std::string(role) + " \"" + name + "\"";
  return "";
}

std::string for_layer(const std::string& expression, int64_t layer) {
  std::string text = expression;
  for (auto at = text.find(kPlaceholder); at != std::string::npos; at = text.find(kPlaceholder))
    text.replace(at, kPlaceholder.size(), std::to_string(layer));
  return text;
}

std::vector<MlpNames> map_layers(const Weights& weights, const WeightMap& map) {
  std::vector<MlpNames> layers;
  for (const int64_t number : numbers_of(weights, map.gate)) {
    const auto bias = [&](const std::string& named, const std::string& matrix) {
      if (!named.empty()) return for_layer(named, number);
      return matrix.empty() ? "" : bias_beside(weights, matrix);
    };
    MlpNames names;
    names.layer = number;
    names.gate = for_layer(map.gate, number);
    names.block = block_of(parse_tensor_expression(names.gate).name);
    names.up = for_layer(map.up, number);
    if (!map.says_identity()) names.down = for_layer(map.down, number);
    names.gate_bias = bias(map.gate_bias, names.gate);
    names.up_bias = bias(map.up_bias, names.up);
    names.down_bias = bias(map.down_bias, names.down);
    layers.push_back(names);
  }
  return layers;
}

}  // namespace bilens
