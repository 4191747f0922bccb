#include "bilens/model/foreign_classifier.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <map>

#include "bilens/io/tensor_expression.h"
#include "bilens/tensor/range.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

/// The names of a layer's tensors by ours; "" where there is none.
std::vector<std::pair<std::string, std::string>> parts_of(const MlpNames& mlp) {
  return {{"gate_proj.weight", mlp.gate}, {"gate_proj.bias", mlp.gate_bias},
          {"up_proj.weight", mlp.up},     {"up_proj.bias", mlp.up_bias},
          {"down_proj.weight", mlp.down}, {"down_proj.bias", mlp.down_bias}};
}

}  // namespace

std::vector<int64_t> shape_of_expression(const Weights& weights, const std::string& expression) {
  const auto parsed = parse_tensor_expression(expression);
  auto shape = weights.tensors().at(parsed.name).shape;
  if (parsed.end >= 0) shape.at(0) = parsed.end - parsed.begin;
  return shape;
}

ImageClassifier load_foreign_classifier(const Weights& weights, const ForeignClassifier& found) {
  std::vector<Problem> problems;
  found.config.check(weights.path().string(), problems);
  if (!problems.empty()) throw Error(ExitCode::kBadInput, problems);
  std::map<std::string, std::string> theirs = {{"embed.weight", found.embed}, {"head.weight", found.head}};
  for (size_t i = 0; i < found.mlps.size(); ++i) {
    for (const auto& [ours, name] : parts_of(found.mlps[i]))
      theirs["layers." + std::to_string(i) + ".mlp." + ours] = name;
  }
  for (const auto& [name, shape] : found.config.parameter_shapes()) {  // before anything is allocated
    if (theirs.at(name).empty() || shape_of_expression(weights, theirs.at(name)) == shape) continue;
    throw Error(ExitCode::kBadInput,
                {weights.path().string() + ": " + theirs.at(name), "shape " + describe_shape(shape),
                 "shape " + describe_shape(shape_of_expression(weights, theirs.at(name))), ""});
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
