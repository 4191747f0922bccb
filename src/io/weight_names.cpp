#include "bilens/io/weight_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <regex>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

std::string if_present(const Weights& weights, const std::string& name) {
  return weights.contains(name) ? name : "";
}

/// How the tensors of a gated MLP are called behind a prefix; # is a number. Without `up`, `gate` is packed:
/// its rows are those of both, gate first. `module` is the part of these names that belongs to the MLP alone.
struct MlpForm {
  const char *gate, *up, *down, *module;
  MlpConvention convention;
};

constexpr const char* kBlock = "blocks.#.weight";

using C = MlpConvention;
constexpr MlpForm kForms[] = {
    {"gate_proj.weight", "up_proj.weight", "down_proj.weight", "", C::kHuggingFace},  // Llama's, and ours
    {"gate_up_proj.weight", "", "down_proj.weight", "", C::kHuggingFace},             // Phi-3's
    {"feed_forward.w1.weight", "feed_forward.w3.weight", "feed_forward.w2.weight", "feed_forward.", C::kMeta},
    {"mlp.swiglu.w1.weight", "mlp.swiglu.w2.weight", "mlp.swiglu.w3.weight", "mlp.", C::kLitGpt},
    {"W_l", "W_r", "W_p", nullptr, C::kPlain},
    {"W_l.weight", "W_r.weight", "W_p.weight", nullptr, C::kPlain},
    {"w_l", "w_r", "w_p", nullptr, C::kPlain},
    {"w_l.weight", "w_r.weight", "w_p.weight", nullptr, C::kPlain},
    {"mlp.w.weight", "", "mlp.p.weight", "mlp.", C::kPapers},
    {"mlp.w.weight", "", "mlp.o.weight", "mlp.", C::kPapers},  // in earlier versions of their code
    {kBlock, "", "", nullptr, C::kPlain},                      // their image classifiers
};

/// The gates of image classifiers with an embedding and a head in front of and behind all layers.
constexpr const char* kClassifierGates[] = {kBlock, "W_l", "W_l.weight", "w_l", "w_l.weight"};

bool ends_component(const std::string& text, size_t end) {
  return end == 0 || text[end - 1] == '.' || text[end - 1] == '_' || text[end - 1] == '/';
}

/// What stands in front of the form in the name; nothing where the name is not of this form.
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

/// "net.layers.0." -> "net.layers."
std::string without_last_part(const std::string& prefix) {
  const size_t dot = prefix.size() < 2 ? std::string::npos : prefix.rfind('.', prefix.size() - 2);
  return dot == std::string::npos ? "" : prefix.substr(0, dot + 1);
}

/// "x.weight" -> "x.bias", where there is one.
std::string bias_of(const Weights& weights, const std::string& name) {
  const std::string suffix = ".weight";
  if (!name.ends_with(suffix)) return "";
  return if_present(weights, name.substr(0, name.size() - suffix.size()) + ".bias");
}

/// "W_in" -> "b_in", "net.w_l" -> "net.b_l", "W" -> "W.bias": of parameters that are no module's weight.
std::string bias_of_parameter(const Weights& weights, const std::string& name) {
  const size_t last = name.rfind('.') == std::string::npos ? 0 : name.rfind('.') + 1;
  std::string other = name;
  if (last < name.size() && (name[last] == 'W' || name[last] == 'w')) other[last] = 'b';
  if (other != name && weights.contains(other)) return other;
  return if_present(weights, name + ".bias");
}

std::string bias_of_any(const Weights& weights, const std::string& name) {
  return name.ends_with(".weight") ? bias_of(weights, name) : bias_of_parameter(weights, name);
}

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

/// Where the MLP's names stand: its convention, block and module.
void place(MlpNames& mlp, const MlpForm& form, const std::string& prefix) {
  mlp.convention = form.convention;
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
  mlp.gate_bias = bias_of_any(weights, mlp.gate);
  mlp.up_bias = bias_of_any(weights, mlp.up);
  mlp.down_bias = bias_of_any(weights, prefix + form.down);
  return mlp;
}

std::string rows_of(const std::string& name, int64_t begin, int64_t end) {
  if (name.empty()) return "";
  return name + "[" + std::to_string(begin) + ":" + std::to_string(end) + "]";
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
  const std::string bias = bias_of(weights, name);
  mlp.gate = rows_of(name, 0, half);
  mlp.up = rows_of(name, half, 2 * half);
  mlp.gate_bias = rows_of(bias, 0, half);
  mlp.up_bias = rows_of(bias, half, 2 * half);
  mlp.down_bias = mlp.down.empty() ? "" : bias_of(weights, mlp.down);
  return mlp;
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
  std::vector<MlpNames> mlps;
  for (const auto& [name, info] : weights.tensors()) {
    for (const auto& form : kForms) {
      const auto prefix = prefix_of(name, form.gate);
      if (!prefix) continue;
      const bool packed = *form.up == '\0';
      if (packed && *form.down != '\0' && !weights.contains(*prefix + form.down)) continue;
      MlpNames mlp =
          packed ? packed_mlp(weights, form, name, *prefix) : separate_mlp(weights, form, name, *prefix);
      if (mlp.gate.empty()) break;
      mlp.layer = layer_number(name, static_cast<int64_t>(mlps.size()));
      place(mlp, form, *prefix);
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

std::string bias_beside(const Weights& weights, const std::string& expression) {
  const auto parsed = parse_tensor_expression(expression);
  const auto bias = bias_of_any(weights, parsed.name);
  const bool cut = !bias.empty() && parsed.end >= 0 && !parsed.transposed;
  return cut ? rows_of(bias, parsed.begin, parsed.end) : bias;
}

ClassifierEnds find_classifier_ends(const Weights& weights) {
  for (const auto& [name, info] : weights.tensors()) {
    for (const char* gate : kClassifierGates) {
      const auto prefix = prefix_of(name, gate);
      if (!prefix) continue;
      for (std::string outer = *prefix;; outer = without_last_part(outer)) {
        const std::string embed = outer + "embed.weight", head = outer + "head.weight";
        if (weights.contains(embed) && weights.contains(head)) return {embed, head};
        if (outer.empty()) break;
      }
    }
  }
  return {};
}

}  // namespace bilens
