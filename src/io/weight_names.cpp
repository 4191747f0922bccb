#include "bilens/io/weight_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <regex>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

/// Conventional places of the norm's gain that feeds an MLP, seen from the prefix "...layers.N.mlp.".
const char* const kNorms[] = {"post_attention_layernorm.weight", "ffn_norm.weight"};

int64_t layer_number(const std::string& prefix, int64_t otherwise) {
  const std::regex number("(?:^|\\.)(\\d{1,9})(?=\\.|$)");
  int64_t found = otherwise;
  for (auto it = std::sregex_iterator(prefix.begin(), prefix.end(), number); it != std::sregex_iterator();
       ++it) {
    found = std::stoll((*it)[1].str());
  }
  return found;
}

std::string if_present(const Weights& weights, const std::string& name) {
  return weights.contains(name) ? name : "";
}

}  // namespace

TensorExpression parse_tensor_expression(const std::string& text) {
  static const std::regex form(R"(([^\[\]]+?)(?:\[(\d{1,12}):(\d{1,12})\])?(\.T)?)");
  std::smatch match;
  if (!std::regex_match(text, match, form)) {
    throw Error(ExitCode::kUsage,
                {"weights", "NAME, NAME[BEGIN:END] or NAME[BEGIN:END].T", "\"" + text + "\"", ""});
  }
  TensorExpression expression{match[1], 0, -1, match[4].matched};
  if (match[2].matched) {
    expression.begin = std::stoll(match[2]);
    expression.end = std::stoll(match[3]);
  }
  return expression;
}

at::Tensor read_expression(const Weights& weights, const std::string& expression) {
  const auto parsed = parse_tensor_expression(expression);
  auto tensor = weights.tensor(parsed.name);
  if (parsed.end >= 0) {
    if (tensor.dim() < 1 || parsed.begin >= parsed.end || parsed.end > tensor.size(0)) {
      throw Error(ExitCode::kBadInput, {weights.path().string() + ": " + expression, "rows inside the tensor",
                                        "shape " + describe_shape(tensor.sizes()), ""});
    }
    tensor = tensor.narrow(0, parsed.begin, parsed.end - parsed.begin);
  }
  if (parsed.transposed) {
    require_shape(tensor, {-1, -1}, weights.path().string() + ": " + expression);
    tensor = tensor.t();
  }
  return tensor;
}

std::vector<MlpNames> find_mlps(const Weights& weights) {
  const std::string suffix = "gate_proj.weight";
  std::vector<MlpNames> mlps;
  for (const auto& [name, info] : weights.tensors()) {
    const bool is_gate =
        name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
    if (!is_gate) continue;
    const std::string prefix = name.substr(0, name.size() - suffix.size());
    if (!weights.contains(prefix + "up_proj.weight")) {
      throw Error(ExitCode::kBadInput,
                  {weights.path().string(), prefix + "up_proj.weight beside " + name, "none", ""});
    }
    MlpNames mlp;
    mlp.layer = layer_number(prefix, static_cast<int64_t>(mlps.size()));
    mlp.gate = name;
    mlp.up = prefix + "up_proj.weight";
    mlp.down = if_present(weights, prefix + "down_proj.weight");
    mlp.gate_bias = if_present(weights, prefix + "gate_proj.bias");
    mlp.up_bias = if_present(weights, prefix + "up_proj.bias");
    mlp.down_bias = if_present(weights, prefix + "down_proj.bias");
    const std::string block =
        prefix.size() > 4 && prefix.ends_with("mlp.") ? prefix.substr(0, prefix.size() - 4) : prefix;
    for (const char* norm : kNorms) {
      if (mlp.norm.empty()) mlp.norm = if_present(weights, block + norm);
    }
    mlps.push_back(mlp);
  }
  std::stable_sort(mlps.begin(), mlps.end(), [](const auto& a, const auto& b) { return a.layer < b.layer; });
  return mlps;
}

}  // namespace bilens
