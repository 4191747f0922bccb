#include "bilens/model/partial_weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <regex>
#include <set>

#include "bilens/io/tensor_expression.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPlaceholder = "{layer}";

Error partial(const std::string& where, const std::string& expected, const std::string& found,
              const std::string& fix) {
  return Error(ExitCode::kBadInput, {where, expected, found, fix});
}

/// "model.layers.3.mlp." -> "model.layers.{layer}.mlp.", by the last number among its parts.
std::string with_placeholder(const std::string& name) {
  static const std::regex last_number(R"((.*(?:^|\.))(\d+)(\..*)?)");
  std::smatch match;
  if (!std::regex_match(name, match, last_number)) return name;
  return match[1].str() + kPlaceholder + match[3].str();
}

/// The flags that name one stack of layers.
std::string flags_of(const MlpNames& mlp) {
  std::string flags = "--set 'weights.gate=" + with_placeholder(mlp.gate) +
                      "' --set 'weights.up=" + with_placeholder(mlp.up) + "'";
  return flags + " --set 'weights.down=" + (mlp.down.empty() ? "identity" : with_placeholder(mlp.down)) + "'";
}

/// consolidated.00.pth beside consolidated.01.pth, or DeepSpeed's mp_rank_00_...: each has some of the hidden
/// units. A number above 0 says so by itself.
void refuse_model_parallel(const fs::path& path) {
  static const std::regex numbered(R"((consolidated\.|mp_rank_)(\d\d)(.*))");
  const std::string name = path.filename().string();
  std::smatch match;
  if (fs::is_directory(path) || !std::regex_match(name, match, numbered)) return;
  const auto part = [&](int number) {
    return match[1].str() + (number < 10 ? "0" : "") + std::to_string(number) + match[3].str();
  };
  const int own = std::stoi(match[2]);
  const std::string other = part(own == 0 ? 1 : 0);
  if (own == 0 && !fs::exists(path.parent_path() / other)) return;
  throw partial(path.string(), "the weights of whole layers",
                "one of several model-parallel files, beside " + other,
                std::string("Each holds some of the hidden units. ") +
                    (name.starts_with("consolidated.") && name.ends_with(".pth")
                         ? "Name their folder, which is read as a whole, with Meta's params.json in it."
                         : "Join them with the program that wrote them."));
}

bool is_of_experts(const std::string& name) {
  static const std::regex expert(R"((^|[._])((shared_)?experts?|block_sparse_moe)([._]|$))");
  return std::regex_search(name, expert);
}

Error experts(const Weights& weights, const std::string& name) {
  return partial(weights.path().string(), "one MLP a layer", "experts: " + name,
                 "Which of them answer depends on the token. One expert can be named with its layers: --set "
                 "'weights.gate=...{layer}...' and weights.up, weights.down.");
}

void refuse_experts(const Weights& weights, const std::vector<MlpNames>& mlps) {
  for (const auto& mlp : mlps)
    if (is_of_experts(mlp.gate)) throw experts(weights, mlp.gate);
}

void refuse_several_stacks(const Weights& weights, const std::vector<MlpNames>& mlps) {
  std::map<std::string, const MlpNames*> stacks;
  for (const auto& mlp : mlps) stacks.emplace(with_placeholder(mlp.gate), &mlp);
  if (stacks.size() < 2) return;
  std::vector<std::string> names, ways;
  for (const auto& [name, mlp] : stacks) names.push_back(name), ways.push_back(flags_of(*mlp));
  throw partial(weights.path().string(), "one stack of layers",
                std::to_string(stacks.size()) + ": " + join(names),
                "Name one of them: " + join(ways, ", or "));
}

/// Whether `name` is `pattern` with some number in the place of "{layer}", and more behind it.
bool stands_below(const std::string& name, const std::string& pattern) {
  const auto at = pattern.find(kPlaceholder);
  if (at == std::string::npos) return name.starts_with(pattern);
  if (name.compare(0, at, pattern, 0, at) != 0) return false;
  size_t end = at;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  const auto rest = pattern.substr(at + std::string(kPlaceholder).size());
  return end > at && name.compare(end, rest.size(), rest) == 0;
}

/// What a tensor beside an MLP's own seems to be, and what to do about it.
std::pair<std::string, std::string> describe_stranger(const std::string& name) {
  const auto has = [&](std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const char* w) { return name.find(w) != std::string::npos; });
  };
  if (has({"lora_", ".lora", "base_layer", "adapter", "ia3_", "hada_", "lokr_", "oft_", "vera_"}))
    return {"an adapter's " + name,
            "Merge it into the base first, for example with peft's merge_and_unload()."};
  if (has({"SCB", "scale", "qweight", "qzeros", "absmax", "quant_", "zero_point", "g_idx"}))
    return {"a quantiser's " + name, "Write the weights again without quantisation, as bfloat16 or float32."};
  if (is_of_experts(name) || has({"router", "mlp.gate."})) return {"a mixture of experts' " + name, ""};
  return {name, ""};
}

/// Tensors inside an MLP's module that the layer as it is read does not have, and layers of the same stack
/// that hold no MLP of this form.
void refuse_strangers(const Weights& weights, const std::vector<MlpNames>& mlps) {
  std::set<std::string> used, modules;
  for (const auto& mlp : mlps) {
    for (const auto* part : {&mlp.gate, &mlp.up, &mlp.down, &mlp.gate_bias, &mlp.up_bias, &mlp.down_bias}) {
      if (part->empty()) continue;
      const auto name = parse_tensor_expression(*part).name;
      used.insert(name);
      if (name.ends_with(".weight")) modules.insert(with_placeholder(name.substr(0, name.size() - 6)));
    }
    if (!mlp.module.empty()) modules.insert(with_placeholder(mlp.module));
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (used.count(name) != 0) continue;
    const std::string tensor = name;
    const bool inside = std::any_of(modules.begin(), modules.end(),
                                    [&](const std::string& module) { return stands_below(tensor, module); });
    if (!inside) continue;
    const auto [found, fix] = describe_stranger(name);
    throw partial(weights.path().string(), "only the matrices and biases of each MLP", "also " + found,
                  fix.empty()
                      ? "What it does is not known here. Name the matrices to decompose them alone: " +
                            flags_of(mlps.front())
                      : fix);
  }
}

}  // namespace

void require_real(const Weights& weights, const std::string& name) {
  const auto found = weights.tensors().find(name);
  if (found == weights.tensors().end()) return;  // whoever reads it says so
  const auto dtype = found->second.dtype;
  if (dtype == at::kDouble || dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf) return;
  throw partial(weights.path().string() + ": " + name, "float32, bfloat16, float16 or float64",
                found->second.stored_as(),
                "Quantised weights are codes: write them again as bfloat16 or float32.");
}

void refuse_partial_mlps(const Weights& weights, const std::vector<MlpNames>& mlps) {
  refuse_model_parallel(weights.path());
  refuse_experts(weights, mlps);
  if (mlps.empty()) {
    for (const auto& item : weights.tensors())
      if (is_of_experts(item.first)) throw experts(weights, item.first);
    return;
  }
  refuse_several_stacks(weights, mlps);
  refuse_strangers(weights, mlps);
}

}  // namespace bilens
