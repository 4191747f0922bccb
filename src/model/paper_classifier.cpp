#include "bilens/model/paper_classifier.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "bilens/model/paper_config.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

using Shape = std::vector<int64_t>;

/// The names of a layer's tensors by ours; "" where there is none.
std::vector<std::pair<std::string, std::string>> parts_of(const MlpNames& mlp) {
  return {{"gate_proj.weight", mlp.gate}, {"gate_proj.bias", mlp.gate_bias},
          {"up_proj.weight", mlp.up},     {"up_proj.bias", mlp.up_bias},
          {"down_proj.weight", mlp.down}, {"down_proj.bias", mlp.down_bias}};
}

/// Of an expression, without reading the data.
Shape shape_of(const Weights& weights, const std::string& expression) {
  const auto parsed = parse_tensor_expression(expression);
  Shape shape = weights.tensors().at(parsed.name).shape;
  if (parsed.end >= 0) shape.at(0) = parsed.end - parsed.begin;
  return shape;
}

void require_nothing_else(const Weights& weights, const PaperClassifier& found) {
  std::set<std::string> known = {found.ends.embed, found.ends.head};
  for (const auto& mlp : found.mlps) {
    for (const auto& [ours, theirs] : parts_of(mlp)) {
      if (!theirs.empty()) known.insert(parse_tensor_expression(theirs).name);
    }
  }
  for (const auto& [name, info] : weights.tensors()) {
    if (known.count(name) != 0) continue;
    throw Error(ExitCode::kBadInput, {weights.path().string(), "an image classifier's tensors alone",
                                      "also " + name, "What this one does is not known."});
  }
}

void require_layers(const Weights& weights, const PaperClassifier& found) {
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

ClassifierConfig config_of(const Weights& weights, const PaperClassifier& found, const PaperConfig& theirs) {
  const Shape embed = shape_of(weights, found.ends.embed), head = shape_of(weights, found.ends.head),
              gate = shape_of(weights, found.mlps.front().gate);
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
  c.gate = theirs.gate();
  c.residual = theirs.flag("residual", false);
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{
           {"d_input", c.d_input}, {"d_output", c.d_output}, {"n_layer", c.n_layers}, {"bias", c.bias}})
    theirs.require(key, value);
  theirs.require("d_hidden", c.d_hidden);
  for (const char* key : {"normalization", "rms_norm"})
    theirs.refuse(key, "Image classifiers here have no norms.");
  return c;
}

}  // namespace

std::optional<PaperClassifier> find_paper_classifier(const StoredModel& model) {
  const auto& weights = model.weights();
  PaperClassifier found;
  found.ends = find_classifier_ends(weights);
  if (found.ends.embed.empty()) return std::nullopt;
  found.mlps = find_mlps(weights);
  require_nothing_else(weights, found);
  found.config = config_of(weights, found, PaperConfig::of(model));
  require_layers(weights, found);
  return found;
}

ImageClassifier load_paper_classifier(const Weights& weights, const PaperClassifier& found) {
  std::vector<Problem> problems;
  found.config.check(weights.path().string(), problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  std::map<std::string, std::string> theirs = {{"embed.weight", found.ends.embed},
                                               {"head.weight", found.ends.head}};
  for (size_t i = 0; i < found.mlps.size(); ++i) {
    for (const auto& [ours, name] : parts_of(found.mlps[i]))
      theirs["layers." + std::to_string(i) + ".mlp." + ours] = name;
  }
  for (const auto& [name, shape] : found.config.parameter_shapes()) {  // before anything is allocated
    if (theirs.at(name).empty() || shape_of(weights, theirs.at(name)) == shape) continue;
    throw Error(ExitCode::kBadInput,
                {weights.path().string() + ": " + theirs.at(name), "shape " + describe_shape(shape),
                 "shape " + describe_shape(shape_of(weights, theirs.at(name))), ""});
  }
  const at::NoGradGuard no_grad;
  ImageClassifier model(found.config);
  for (auto& item : model->named_parameters()) {
    const auto& name = theirs.at(item.key());
    if (name.empty()) {
      item.value().zero_();  // a bias that this layer does not have
    } else {
      const auto stored = read_expression(weights, name);
      require_range(stored, item.value().scalar_type(), weights.path().string() + ": " + name);
      item.value().copy_(stored);
      require_finite(item.value(), weights.path().string() + ": " + name);
    }
  }
  model->eval();
  return model;
}

}  // namespace bilens
