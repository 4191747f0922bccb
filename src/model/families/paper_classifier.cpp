#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "bilens/io/tensor_expression.h"
#include "families.h"
#include "paper_config.h"

namespace bilens::family {

namespace {

/// Layers of two bare factors, with or without an output projection. Others use such names too, so that they
/// tell no more than where the matrices are.
constexpr MlpForm kForms[] = {{"W_l", "W_r", "W_p", nullptr, false},
                              {"W_l.weight", "W_r.weight", "W_p.weight", nullptr, false},
                              {"w_l", "w_r", "w_p", nullptr, false},
                              {"w_l.weight", "w_r.weight", "w_p.weight", nullptr, false},
                              {"blocks.#.weight", "", "", nullptr, false}};

/// embed.weight and head.weight around the layers: the first layer's input and the logits are linear in
/// these.
void find_ends(const Weights& weights, ForeignClassifier& found) {
  for (const auto& [name, info] : weights.tensors()) {
    for (const auto& form : kForms) {
      const auto prefix = prefix_of(name, form.gate);
      if (!prefix) continue;
      for (std::string outer = *prefix;; outer = without_last_part(outer)) {
        const std::string embed = outer + "embed.weight", head = outer + "head.weight";
        if (weights.contains(embed) && weights.contains(head)) {
          found.embed = embed, found.head = head;
          return;
        }
        if (outer.empty()) break;
      }
    }
  }
}

void require_nothing_else(const Weights& weights, const ForeignClassifier& found) {
  std::set<std::string> known = {found.embed, found.head};
  for (const auto& mlp : found.mlps) {
    for (const auto* name : {&mlp.gate, &mlp.up, &mlp.down, &mlp.gate_bias, &mlp.up_bias, &mlp.down_bias})
      if (!name->empty()) known.insert(parse_tensor_expression(*name).name);
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (known.count(name) != 0) continue;
    throw Error(ExitCode::kBadInput, {weights.path().string(), "an image classifier's tensors alone",
                                      "also " + name, "What this one does is not known."});
  }
}

void require_layers(const Weights& weights, const ForeignClassifier& found) {
  const auto& c = found.config;
  for (size_t i = 0; i < found.mlps.size(); ++i) {
    const auto& mlp = found.mlps[i];
    if (mlp.layer != static_cast<int64_t>(i)) {
      throw Error(ExitCode::kBadInput, {weights.path().string(), "layer " + std::to_string(i),
                                        "layer " + std::to_string(mlp.layer), "Layers count from 0."});
    }
    if (mlp.down.empty() == c.down_proj) {
      throw Error(ExitCode::kBadInput,
                  {weights.path().string() + ": " + mlp.gate,
                   "layers of one kind, with an output projection or without", "both kinds", ""});
    }
  }
}

/// Height and width: a square where the number of pixels is one, else a line.
std::vector<int64_t> guess_image_shape(int64_t pixels) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(pixels))));
  return side * side == pixels ? std::vector<int64_t>{side, side} : std::vector<int64_t>{1, pixels};
}

ClassifierConfig config_of(const Weights& weights, const ForeignClassifier& found,
                           const PaperClassifierConfig& theirs, const std::string& where) {
  const auto embed = shape_of_expression(weights, found.embed),
             head = shape_of_expression(weights, found.head),
             gate = shape_of_expression(weights, found.mlps.front().gate);
  if (embed.size() != 2 || head.size() != 2 || gate.size() != 2) {
    throw Error(ExitCode::kBadInput,
                {weights.path().string(), "matrices for embedding, layers and head", "other shapes", ""});
  }
  ClassifierConfig c;
  c.d_input = embed[1];
  c.d_model = embed[0];
  c.d_hidden = gate[0];
  c.d_output = head[0];
  c.n_layers = static_cast<int64_t>(found.mlps.size());
  c.down_proj = !found.mlps.front().down.empty();
  for (const auto& mlp : found.mlps)
    c.bias = c.bias || !(mlp.gate_bias.empty() && mlp.up_bias.empty() && mlp.down_bias.empty());
  c.image_shape = guess_image_shape(c.d_input);
  c.gate = theirs.gate;
  c.residual = theirs.residual;
  using C = PaperClassifierConfig;
  require_as_weights(theirs, &C::d_input, c.d_input, where);
  require_as_weights(theirs, &C::d_output, c.d_output, where);
  require_as_weights(theirs, &C::n_layer, c.n_layers, where);
  require_as_weights(theirs, &C::bias, c.bias, where);
  require_as_weights(theirs, &C::d_hidden, c.d_hidden, where);
  return c;
}

/// By the header alone. Of a config.json the keys that change the logits count; without one there is neither
/// residual nor gate.
/// @throws Error(kBadInput): a tensor beside these, layers of different kinds, a config that ours cannot
/// express or that contradicts the weights
std::optional<ForeignClassifier> find(const StoredModel& model) {
  const auto& weights = model.weights();
  ForeignClassifier found;
  find_ends(weights, found);
  if (found.embed.empty()) return std::nullopt;
  found.mlps = find_mlps(weights);
  require_nothing_else(weights, found);
  const auto theirs = read_paper_config<PaperClassifierConfig>(model).value_or(PaperClassifierConfig());
  found.config = config_of(weights, found, theirs, model.where("config.json"));
  require_layers(weights, found);
  return found;
}

}  // namespace

const Family& paper_classifier() {
  static const Family family = {.name = "the papers' image classifiers",
                                .forms = {std::begin(kForms), std::end(kForms)},
                                .find_classifier = find};
  return family;
}

}  // namespace bilens::family
