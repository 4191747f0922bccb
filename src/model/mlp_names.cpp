#include "bilens/model/mlp_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "bilens/io/tensor_expression.h"
#include "bilens/model/family.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

std::string if_present(const Weights& weights, const std::string& name) {
  return weights.contains(name) ? name : "";
}

/// The names that most models share, also ours.
constexpr MlpForm kCommonForm = {"gate_proj.weight", "up_proj.weight", "down_proj.weight", ""};

struct FormOf {
  MlpForm form;
  const Family* family;  // that alone has such names; null: they do not tell it
};

const std::vector<FormOf>& all_forms() {
  static const std::vector<FormOf> all = [] {
    std::vector<FormOf> forms = {{kCommonForm, nullptr}};
    for (const auto* family : families()) {
      for (const auto& form : family->forms)
        forms.push_back({form, family->told_by_names ? family : nullptr});
    }
    return forms;
  }();
  return all;
}

bool ends_component(const std::string& text, size_t end) {
  return end == 0 || text[end - 1] == '.' || text[end - 1] == '_' || text[end - 1] == '/';
}

}  // namespace

std::optional<std::string> prefix_of(const std::string& name, const std::string& form) {
  size_t at = name.size();
  for (size_t i = form.size(); i-- > 0;) {
    const size_t end = at;
    if (form[i] == '#') {
      while (at > 0 && std::isdigit(static_cast<unsigned char>(name[at - 1])) != 0) --at;
      if (at == end) return std::nullopt;
    } else if (at == 0 || name[--at] != form[i]) {
      return std::nullopt;
    }
  }
  return ends_component(name, at) ? std::optional(name.substr(0, at)) : std::nullopt;
}

std::string without_last_part(const std::string& prefix) {
  const size_t dot = prefix.size() < 2 ? std::string::npos : prefix.rfind('.', prefix.size() - 2);
  return dot == std::string::npos ? "" : prefix.substr(0, dot + 1);
}

namespace {

bool is_number(const std::string& part) {
  return !part.empty() && part.size() < 10 &&
         std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// "model.layers.0.mlp." -> "model.layers.0."; what ends in a number is a block itself.
std::string block_of(const std::string& prefix) {
  if (prefix.empty() || prefix.back() != '.') return prefix;
  const std::string outer = without_last_part(prefix);
  const std::string last = prefix.substr(outer.size(), prefix.size() - outer.size() - 1);
  return is_number(last) ? prefix : outer;
}

/// Where the MLP's names stand: its block and module.
void place(MlpNames& mlp, const MlpForm& form, const std::string& prefix) {
  mlp.needs_down = form.needs_down;
  mlp.block = form.module != nullptr && *form.module == '\0' ? block_of(prefix) : prefix;
  if (form.module != nullptr && !(*form.module == '\0' && mlp.block == prefix))
    mlp.module = prefix + form.module;
}

MlpNames separate_mlp(const Weights& weights, const MlpForm& form, const std::string& gate,
                      const std::string& prefix) {
  MlpNames mlp;
  mlp.gate = gate;
  mlp.up = prefix + form.up;
  if (!weights.contains(mlp.up)) {
    throw Error(ExitCode::kBadInput, {weights.path().string(), mlp.up + " beside " + gate, "none", ""});
  }
  mlp.down = if_present(weights, prefix + form.down);
  mlp.gate_bias = bias_of_tensor(weights, mlp.gate);
  mlp.up_bias = bias_of_tensor(weights, mlp.up);
  mlp.down_bias = bias_of_tensor(weights, prefix + form.down);
  return mlp;
}

/// Left rows, then as many right ones. Empty where the tensor is no matrix: a norm, for instance.
MlpNames packed_mlp(const Weights& weights, const MlpForm& form, const std::string& name,
                    const std::string& prefix) {
  MlpNames mlp;
  const auto& shape = weights.tensors().at(name).shape;
  if (shape.size() != 2) return mlp;
  const int64_t half = shape[0] / 2;
  if (*form.down != '\0') mlp.down = prefix + form.down;
  const auto down_shape =
      mlp.down.empty() ? std::vector<int64_t>{0, half} : weights.tensors().at(mlp.down).shape;
  if (half == 0 || shape[0] % 2 != 0 || down_shape.size() != 2 || down_shape[1] != half) {
    throw Error(ExitCode::kBadInput, {weights.path().string() + ": " + name,
                                      mlp.down.empty() ? "an even number of rows, those of gate and up"
                                                       : "twice as many rows as " + mlp.down +
                                                             " has columns, those of gate and up",
                                      "shape " + describe_shape(shape), "It may be no gated MLP."});
  }
  const std::string bias = bias_of_tensor(weights, name);
  mlp.gate = rows_of_tensor(name, 0, half);
  mlp.up = rows_of_tensor(name, half, 2 * half);
  mlp.gate_bias = rows_of_tensor(bias, 0, half);
  mlp.up_bias = rows_of_tensor(bias, half, 2 * half);
  mlp.down_bias = mlp.down.empty() ? "" : bias_of_tensor(weights, mlp.down);
  return mlp;
}

}  // namespace

std::vector<MlpNames> find_mlps(const Weights& weights) {
  std::vector<MlpNames> mlps;
  for (const auto& [name, info] : weights.tensors()) {
    for (const auto& [form, family] : all_forms()) {
      const auto prefix = prefix_of(name, form.gate);
      if (!prefix) continue;
      const bool packed = *form.up == '\0';
      if (packed && *form.down != '\0' && !weights.contains(*prefix + form.down)) continue;
      MlpNames mlp =
          packed ? packed_mlp(weights, form, name, *prefix) : separate_mlp(weights, form, name, *prefix);
      if (mlp.gate.empty()) break;
      mlp.layer = layer_number(name, static_cast<int64_t>(mlps.size()));
      place(mlp, form, *prefix);
      mlp.family = family;
      mlps.push_back(mlp);
      break;
    }
  }
  std::stable_sort(mlps.begin(), mlps.end(), [](const auto& a, const auto& b) { return a.layer < b.layer; });
  return mlps;
}

int64_t layer_number(const std::string& name, int64_t otherwise) {
  int64_t found = otherwise;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (is_number(part)) found = std::stoll(part);
    begin = end + 1;
  }
  return found;
}

}  // namespace bilens
