#include "bilens/model/image_classifier.h"

#include <ATen/ATen.h>

#include <map>

#include "catch.h"

namespace bilens::classifier_test {
namespace {

ClassifierConfig small(int64_t layers) {
  ClassifierConfig config;
  config.d_input = 6;
  config.d_model = 4;
  config.d_hidden = 4;
  config.d_output = 3;
  config.n_layers = layers;
  config.image_shape = {2, 3};
  return config;
}

TEST_CASE("depth three with everything switched on equals the formula written out") {
  auto config = small(3);
  config.d_hidden = 5;
  config.bias = config.residual = config.down_proj = true;
  config.gate = Gate::kSilu;
  at::manual_seed(1);
  ImageClassifier model(config);
  std::map<std::string, at::Tensor> p;
  for (const auto& item : model->named_parameters()) p[item.key()] = item.value().to(at::kDouble);

  const auto x = at::randn({7, 6});
  auto h = x.to(at::kDouble).mm(p.at("embed.weight").t());
  for (int i = 0; i < 3; ++i) {
    const std::string mlp = "layers." + std::to_string(i) + ".mlp.";
    const auto linear = [&](const at::Tensor& in, const std::string& name) {
      return in.mm(p.at(mlp + name + ".weight").t()) + p.at(mlp + name + ".bias");
    };
    h = h + linear(at::silu(linear(h, "gate_proj")) * linear(h, "up_proj"), "down_proj");
  }
  const auto expected = h.mm(p.at("head.weight").t());
  // Sums of at most six products in four stages, numbers of order 1.
  CHECK((model(x) - expected).abs().max().item<double>() < 50 * 1.2e-7);
  CHECK(expected.abs().max().item<double>() > 0.1);

  const auto states = model->hidden_states(x);
  REQUIRE(states.size() == 4);
  CHECK((states.back() - h).abs().max().item<double>() < 50 * 1.2e-7);
  CHECK(at::equal(states.front(), model->embed(x)));
}

TEST_CASE("without residual each layer sees the product alone") {
  at::manual_seed(2);
  ImageClassifier model(small(2));
  const auto x = at::randn({3, 6});
  auto h = model->embed(x);
  for (auto& mlp : model->mlps) h = mlp->gate_proj(h) * mlp->up_proj(h);
  CHECK((model(x) - model->head(h)).abs().max().item<double>() < 20 * 1.2e-7);  // as above, two layers
}

TEST_CASE("the listed shapes are those of the module, and their product is the number of parameters") {
  for (int variant = 0; variant < 4; ++variant) {
    auto config = small(3);
    config.bias = (variant & 1) != 0;
    config.down_proj = (variant & 2) != 0;
    if (config.down_proj) config.d_hidden = 9;
    ImageClassifier model(config);
    std::map<std::string, std::vector<int64_t>> found;
    int64_t count = 0;
    for (const auto& item : model->named_parameters()) {
      found[item.key()] = item.value().sizes().vec();
      count += item.value().numel();
    }
    const auto listed = config.parameter_shapes();
    CHECK(std::map<std::string, std::vector<int64_t>>(listed.begin(), listed.end()) == found);
    CHECK(listed.size() == found.size());
    CHECK(config.parameter_count() == count);
  }
}

TEST_CASE("contradictions between keys are named") {
  const auto problems_of = [](const ClassifierConfig& config) {
    std::vector<Problem> problems;
    config.check("c.json", problems);
    std::string text;
    for (const auto& problem : problems) text += problem.message() + "\n";
    return text;
  };
  auto config = small(1);
  CHECK(problems_of(config).empty());
  config.d_hidden = 5;
  CHECK(problems_of(config).find(
            "c.json: d_hidden: expected d_model (4), because down_proj is false, found 5") == 0);
  config.down_proj = true;
  CHECK(problems_of(config).empty());
  using Shape = std::vector<int64_t>;
  for (const Shape& shape : {Shape{3, 3}, Shape{6}, Shape{1, 2, 3}, Shape{}}) {
    config.image_shape = shape;
    CHECK(problems_of(config).find("c.json: image_shape") == 0);
  }
  // A product beyond 64 bits must not overflow.
  config.image_shape = {1 << 20, 1 << 20, 1 << 20, 1 << 20};
  CHECK(problems_of(config).find("c.json: image_shape") == 0);
}

}  // namespace
}  // namespace bilens::classifier_test
