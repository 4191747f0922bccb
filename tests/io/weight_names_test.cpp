#include "bilens/io/weight_names.h"

#include <ATen/ATen.h>

#include "caught.h"
#include "temporary_folder.h"

namespace bilens {
namespace {

using test::caught;
using test::contains;

/// Weights with these names, each a 4x2 matrix of 0..7.
class Named {
 public:
  explicit Named(const std::vector<std::string>& names) {
    NamedTensors tensors;
    for (const auto& name : names) tensors.emplace_back(name, at::arange(8, at::kFloat).reshape({4, 2}));
    write_safetensors(folder_ / "w.safetensors", tensors);
    weights_ = std::make_unique<Weights>(folder_ / "w.safetensors");
  }
  const Weights& operator*() const { return *weights_; }

 private:
  test::TemporaryFolder folder_;
  std::unique_ptr<Weights> weights_;
};

TEST_CASE("an expression is a name, a range of rows, a transposition") {
  const auto plain = parse_tensor_expression("blocks.0.weight");
  CHECK(plain.name == "blocks.0.weight");
  CHECK(plain.end == -1);
  CHECK_FALSE(plain.transposed);
  const auto all = parse_tensor_expression("blocks.0.weight[2:512].T");
  CHECK(all.name == "blocks.0.weight");
  CHECK(all.begin == 2);
  CHECK(all.end == 512);
  CHECK(all.transposed);
  CHECK(parse_tensor_expression("w.T").transposed);
  CHECK(parse_tensor_expression("w.T").name == "w");
  for (const char* text :
       {"", "w[1]", "w[1:2", "w[:]", "w[-1:2]", "w[1:2]x", "[0:1]", "w[0:1][0:1]", "w[0:9999999999999]"}) {
    CAPTURE(text);
    CHECK(caught([&] { parse_tensor_expression(text); }).code() == ExitCode::kUsage);
  }
}

TEST_CASE("an expression slices first and transposes then") {
  const Named weights({"w"});
  CHECK(
      at::equal(read_expression(*weights, "w[1:3].T"), at::tensor({2.0f, 4.0f, 3.0f, 5.0f}).reshape({2, 2})));
  CHECK(read_expression(*weights, "w").sizes() == at::IntArrayRef({4, 2}));
  CHECK(at::equal(read_expression(*weights, "w[3:4]"), at::tensor({6.0f, 7.0f}).reshape({1, 2})));
  for (const char* text : {"w[2:5]", "w[2:2]", "w[3:2]"}) {
    const auto error = caught([&] { read_expression(*weights, text); });
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(contains(error.what(), "shape [4, 2]"));
  }
  CHECK(caught([&] { read_expression(*weights, "v"); }).code() == ExitCode::kBadInput);
}

TEST_CASE("the MLPs of our own classifier are found in the order of their numbers") {
  std::vector<std::string> names = {"embed.weight", "head.weight"};
  for (const char* layer : {"0", "2", "10"}) {
    for (const char* part : {"gate_proj.weight", "up_proj.weight"})
      names.push_back(std::string("layers.") + layer + ".mlp." + part);
  }
  names.push_back("layers.2.mlp.up_proj.bias");
  const Named weights(names);
  const auto mlps = find_mlps(*weights);
  REQUIRE(mlps.size() == 3);
  CHECK(mlps[0].layer == 0);
  CHECK(mlps[1].layer == 2);
  CHECK(mlps[2].layer == 10);  // by number, not by text
  CHECK(mlps[1].gate == "layers.2.mlp.gate_proj.weight");
  CHECK(mlps[1].up == "layers.2.mlp.up_proj.weight");
  CHECK(mlps[1].down.empty());
  CHECK(mlps[1].up_bias == "layers.2.mlp.up_proj.bias");
  CHECK(mlps[1].gate_bias.empty());
  CHECK(mlps[1].norm.empty());
}

TEST_CASE("the MLPs of a Hugging Face Llama come with their norm") {
  const Named weights({"model.embed_tokens.weight", "model.layers.1.mlp.gate_proj.weight",
                       "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight",
                       "model.layers.1.post_attention_layernorm.weight",
                       "model.layers.1.input_layernorm.weight", "lm_head.weight"});
  const auto mlps = find_mlps(*weights);
  REQUIRE(mlps.size() == 1);
  CHECK(mlps[0].layer == 1);
  CHECK(mlps[0].down == "model.layers.1.mlp.down_proj.weight");
  CHECK(mlps[0].norm == "model.layers.1.post_attention_layernorm.weight");
}

TEST_CASE("an MLP without a prefix counts as layer 0, and a gate without its up_proj is an error") {
  const Named bare({"gate_proj.weight", "up_proj.weight"});
  CHECK(find_mlps(*bare).at(0).layer == 0);
  const Named none({"a", "b"});
  CHECK(find_mlps(*none).empty());
  const Named half({"layers.0.mlp.gate_proj.weight"});
  const auto error = caught([&] { find_mlps(*half); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "layers.0.mlp.up_proj.weight"));
}

}  // namespace
}  // namespace bilens
