#include "bilens/model/image_classifier.h"

#include <functional>
#include <numeric>

namespace bilens {

namespace {

constexpr double kWidest = 1 << 20;  // keeps products of two sizes far from overflow

/// Gives an MLP its place in the parameter names: layers.N.mlp.*
struct Block : torch::nn::Module {
  explicit Block(const BilinearMlp& mlp) { register_module("mlp", mlp); }
};

}  // namespace

const FieldTable<ClassifierConfig>& ClassifierConfig::architecture_fields() {
  using C = ClassifierConfig;
  static const FieldTable<C> table =
      FieldTable<C>(
          "The image classifier: logits = H h_n, h_0 = E x, h_(i+1) = [h_i +] P(f(W h_i) * (V h_i)).")
          .choice("type", &C::type, "Kind of model.", {{"bilinear_mlp", std::string("bilinear_mlp")}})
          .integer("d_model", &C::d_model, "Width of the hidden state h.", between(1, kWidest), "units")
          .integer("d_hidden", &C::d_hidden, "Hidden units of each MLP; d_model unless down_proj.",
                   between(1, kWidest), "units")
          .integer("n_layers", &C::n_layers, "Number of MLPs.", between(1, 1000), "layers")
          .choice("gate", &C::gate, "Nonlinearity f of the gate; \"none\" is the bilinear layer.",
                  gate_names())
          .flag("bias", &C::bias, "Biases in the MLPs' projections.")
          .flag("residual", &C::residual, "Adds each MLP's input to its output.")
          .flag("down_proj", &C::down_proj, "A projection P behind the product; else the identity.");
  return table;
}

const FieldTable<ClassifierConfig>& ClassifierConfig::model_fields() {
  using C = ClassifierConfig;
  static const FieldTable<C> table =
      FieldTable<C>("config.json of an image classifier's model directory.")
          .choice("model_type", &C::type, "Kind of model.", {{"bilinear_mlp", std::string("bilinear_mlp")}})
          .required()
          .integer("d_input", &C::d_input, "Pixels of an image.", between(1, kWidest))
          .required()
          .integer("d_model", &C::d_model, "Width of the hidden state.", between(1, kWidest))
          .required()
          .integer("d_hidden", &C::d_hidden, "Hidden units of each MLP.", between(1, kWidest))
          .required()
          .integer("d_output", &C::d_output, "Number of classes.", between(1, kWidest))
          .required()
          .integer("n_layers", &C::n_layers, "Number of MLPs.", between(1, 1000))
          .required()
          .choice("gate", &C::gate, "Nonlinearity of the gate.", gate_names())
          .flag("bias", &C::bias, "Biases in the MLPs' projections.")
          .flag("residual", &C::residual, "Adds each MLP's input to its output.")
          .flag("down_proj", &C::down_proj, "A projection behind the product.")
          .integers("image_shape", &C::image_shape,
                    Json{{"type", "array"},
                         {"items", {{"type", "integer"}, {"minimum", 1}, {"maximum", kWidest}}},
                         {"description", "Height and width of an image."}})
          .number("pixel_mean", &C::pixel_mean, "Subtracted from pixel/255.")
          .number("pixel_std", &C::pixel_std, "Divides what is left.", more_than(0.0));
  return table;
}

void ClassifierConfig::check(const std::string& where, std::vector<Problem>& problems) const {
  if (!down_proj && d_hidden != d_model) {
    problems.push_back({key_path(where, "d_hidden"),
                        "d_model (" + std::to_string(d_model) + "), because down_proj is false",
                        std::to_string(d_hidden), "Make them equal, or set down_proj to true."});
  }
  if (image_shape.size() != 2 || image_shape[0] * image_shape[1] != d_input) {
    problems.push_back({key_path(where, "image_shape"),
                        "height and width with product " + std::to_string(d_input), Json(image_shape).dump(),
                        ""});
  }
}

std::vector<std::pair<std::string, std::vector<int64_t>>> ClassifierConfig::parameter_shapes() const {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {{"embed.weight", {d_model, d_input}}};
  const auto projection = [&](const std::string& name, int64_t out, int64_t in) {
    shapes.push_back({name + ".weight", {out, in}});
    if (bias) shapes.push_back({name + ".bias", {out}});
  };
  for (int64_t i = 0; i < n_layers; ++i) {
    const std::string mlp = "layers." + std::to_string(i) + ".mlp.";
    projection(mlp + "gate_proj", d_hidden, d_model);
    projection(mlp + "up_proj", d_hidden, d_model);
    if (down_proj) projection(mlp + "down_proj", d_model, d_hidden);
  }
  shapes.push_back({"head.weight", {d_output, d_model}});
  return shapes;
}

int64_t ClassifierConfig::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, shape] : parameter_shapes()) {
    count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  return count;
}

ImageClassifierImpl::ImageClassifierImpl(const ClassifierConfig& c) : config(c) {
  const auto linear = [](int64_t in, int64_t out) {
    return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(false));
  };
  embed = register_module("embed", linear(c.d_input, c.d_model));
  const auto layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < c.n_layers; ++i) {
    mlps.push_back(BilinearMlp(BilinearMlpOptions{c.d_model, c.d_hidden, c.bias, c.down_proj, c.gate}));
    layers->push_back(std::make_shared<Block>(mlps.back()));
  }
  head = register_module("head", linear(c.d_model, c.d_output));
}

at::Tensor ImageClassifierImpl::forward(const at::Tensor& x) { return head(hidden_states(x).back()); }

std::vector<at::Tensor> ImageClassifierImpl::hidden_states(const at::Tensor& x) {
  std::vector<at::Tensor> states = {embed(x)};
  for (auto& mlp : mlps) {
    const auto& h = states.back();
    states.push_back(config.residual ? h + mlp(h) : mlp(h));
  }
  return states;
}

}  // namespace bilens
