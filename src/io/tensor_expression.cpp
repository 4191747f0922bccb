#include "bilens/io/tensor_expression.h"

#include <ATen/ATen.h>

#include <regex>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

std::string if_present(const Weights& weights, const std::string& name) {
  return weights.contains(name) ? name : "";
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

}  // namespace

std::string bias_of_tensor(const Weights& weights, const std::string& name) {
  return name.ends_with(".weight") ? bias_of(weights, name) : bias_of_parameter(weights, name);
}

std::string rows_of_tensor(const std::string& name, int64_t begin, int64_t end) {
  if (name.empty()) return "";
  return name + "[" + std::to_string(begin) + ":" + std::to_string(end) + "]";
}

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

std::string bias_beside(const Weights& weights, const std::string& expression) {
  const auto parsed = parse_tensor_expression(expression);
  const auto bias = bias_of_tensor(weights, parsed.name);
  const bool cut = !bias.empty() && parsed.end >= 0 && !parsed.transposed;
  return cut ? rows_of_tensor(bias, parsed.begin, parsed.end) : bias;
}

}  // namespace bilens
