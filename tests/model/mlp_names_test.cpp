#include "bilens/model/mlp_names.h"

#include <ATen/ATen.h>

#include "bilens/io/safetensors.h"
#include "bilens/io/tensor_expression.h"
#include "bilens/model/family.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::mlp_names_test {
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
  CHECK(mlps[1].block == "layers.2.");
  CHECK(mlps[1].module == "layers.2.mlp.");
}

TEST_CASE("the MLPs of a Hugging Face Llama come with their block") {
  const Named weights({"model.embed_tokens.weight", "model.layers.1.mlp.gate_proj.weight",
                       "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight",
                       "model.layers.1.post_attention_layernorm.weight",
                       "model.layers.1.input_layernorm.weight", "lm_head.weight"});
  const auto mlps = find_mlps(*weights);
  REQUIRE(mlps.size() == 1);
  CHECK(mlps[0].layer == 1);
  CHECK(mlps[0].down == "model.layers.1.mlp.down_proj.weight");
  CHECK(mlps[0].block == "model.layers.1.");
  CHECK(mlps[0].family == nullptr);  // many have such names
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

/// Weights with one matrix each of these sizes.
Weights shaped(const test::TemporaryFolder& folder,
               const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes) {
  NamedTensors tensors;
  for (const auto& [name, shape] : shapes) tensors.emplace_back(name, at::zeros(shape));
  write_safetensors(folder / "w.safetensors", tensors);
  return Weights(folder / "w.safetensors");
}

TEST_CASE("the papers' image classifiers: packed blocks, left rows before right ones") {
  const test::TemporaryFolder folder;
  for (const char* prefix : {"", "net."}) {
    const std::string p = prefix;
    const auto weights = shaped(folder, {{p + "embed.weight", {3, 8}},
                                         {p + "blocks.0.weight", {6, 3}},
                                         {p + "blocks.0.bias", {6}},
                                         {p + "blocks.10.weight", {6, 3}},
                                         {p + "head.weight", {2, 3}}});
    const auto mlps = find_mlps(weights);
    REQUIRE(mlps.size() == 2);
    CHECK(mlps[0].gate == p + "blocks.0.weight[0:3]");
    CHECK(mlps[0].up == p + "blocks.0.weight[3:6]");
    CHECK(mlps[0].gate_bias == p + "blocks.0.bias[0:3]");
    CHECK(mlps[0].up_bias == p + "blocks.0.bias[3:6]");
    CHECK(mlps[0].down.empty());
    CHECK(mlps[1].layer == 10);
    CHECK(mlps[1].gate_bias.empty());
  }
}

TEST_CASE("the papers' language models, separate matrices, and Llama's own names") {
  const test::TemporaryFolder folder;
  const auto packed = find_mlps(shaped(folder, {{"transformer.h.3.mlp.w.weight", {8, 3}},
                                                {"transformer.h.3.mlp.p.weight", {3, 4}},
                                                {"transformer.h.3.mlp.p.bias", {3}},
                                                {"transformer.h.3.attn.o.weight", {3, 3}}}));
  REQUIRE(packed.size() == 1);
  CHECK(packed[0].layer == 3);
  CHECK(packed[0].gate == "transformer.h.3.mlp.w.weight[0:4]");
  CHECK(packed[0].up == "transformer.h.3.mlp.w.weight[4:8]");
  CHECK(packed[0].down == "transformer.h.3.mlp.p.weight");
  CHECK(packed[0].down_bias == "transformer.h.3.mlp.p.bias");
  for (const char* suffix : {"", ".weight"}) {
    const std::string s = suffix;
    const auto separate = find_mlps(shaped(
        folder, {{"model.0.W_l" + s, {4, 3}}, {"model.0.W_r" + s, {4, 3}}, {"model.0.W_p" + s, {3, 4}}}));
    REQUIRE(separate.size() == 1);
    CHECK(separate[0].gate == "model.0.W_l" + s);
    CHECK(separate[0].up == "model.0.W_r" + s);
    CHECK(separate[0].down == "model.0.W_p" + s);
  }
  const auto early = find_mlps(shaped(folder, {{"h.0.mlp.w.weight", {8, 3}}, {"h.0.mlp.o.weight", {3, 4}}}));
  REQUIRE(early.size() == 1);
  CHECK(early[0].down == "h.0.mlp.o.weight");
  CHECK(find_mlps(shaped(folder, {{"h.0.mlp.w.weight", {8, 3}}})).empty());  // no MLP without its output
  const auto llama = find_mlps(shaped(folder, {{"layers.1.feed_forward.w1.weight", {4, 3}},
                                               {"layers.1.feed_forward.w2.weight", {3, 4}},
                                               {"layers.1.feed_forward.w3.weight", {4, 3}},
                                               {"layers.1.ffn_norm.weight", {3}}}));
  REQUIRE(llama.size() == 1);
  CHECK(llama[0].up == "layers.1.feed_forward.w3.weight");
  CHECK(llama[0].down == "layers.1.feed_forward.w2.weight");
  CHECK(llama[0].block == "layers.1.");
  CHECK(llama[0].module == "layers.1.feed_forward.");
  CHECK(llama[0].family->gate_by_names == "silu");
}

TEST_CASE("lit-gpt's SwiGLU has its output in w3, and bare parameters have their biases beside them") {
  const test::TemporaryFolder folder;
  const auto lit = find_mlps(shaped(folder, {{"transformer.h.2.mlp.swiglu.w1.weight", {4, 3}},
                                             {"transformer.h.2.mlp.swiglu.w2.weight", {4, 3}},
                                             {"transformer.h.2.mlp.swiglu.w3.weight", {3, 4}}}));
  REQUIRE(lit.size() == 1);
  CHECK(lit[0].up == "transformer.h.2.mlp.swiglu.w2.weight");
  CHECK(lit[0].down == "transformer.h.2.mlp.swiglu.w3.weight");
  CHECK(lit[0].family->name == "lit-gpt");
  const auto bare = find_mlps(
      shaped(folder, {{"b.0.W_l", {4, 3}}, {"b.0.W_r", {4, 3}}, {"b.0.b_l", {4}}, {"b.0.W_r.bias", {4}}}));
  CHECK(bare.at(0).gate_bias == "b.0.b_l");
  CHECK(bare.at(0).up_bias == "b.0.W_r.bias");
}

TEST_CASE("the bias beside a named matrix has the same rows") {
  const test::TemporaryFolder folder;
  const auto weights =
      shaped(folder, {{"w.weight", {8, 3}}, {"w.bias", {8}}, {"W_in", {3, 4}}, {"b_in", {4}}, {"x", {2, 2}}});
  CHECK(bias_beside(weights, "w.weight") == "w.bias");
  CHECK(bias_beside(weights, "w.weight[2:6]") == "w.bias[2:6]");
  CHECK(bias_beside(weights, "w.weight[2:6].T") == "w.bias");
  CHECK(bias_beside(weights, "W_in.T") == "b_in");
  CHECK(bias_beside(weights, "x").empty());
}

TEST_CASE("embedding and head stand around the layers, whatever those are called") {
  const test::TemporaryFolder folder;
  const auto find = [&](const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
    return find_foreign_classifier(shaped(folder, tensors).path());
  };
  const auto found = find({{"net.embed.weight", {3, 8}},
                           {"net.layers.0.W_l", {4, 3}},
                           {"net.layers.0.W_r", {4, 3}},
                           {"net.head.weight", {2, 4}}});
  REQUIRE(found);
  CHECK(found->embed == "net.embed.weight");
  CHECK(found->head == "net.head.weight");
  CHECK(found->config.d_hidden == 4);
  CHECK_FALSE(find({{"embed.weight", {3, 8}}, {"W_l", {4, 3}}, {"W_r", {4, 3}}}));
  CHECK_FALSE(find({{"embed.weight", {3, 8}},
                    {"head.weight", {2, 3}},
                    {"layers.0.mlp.gate_proj.weight", {4, 3}}}));  // ours, whose residual only a config tells
}

TEST_CASE("packed tensors that cannot be halved are named, and what only looks alike is passed over") {
  const test::TemporaryFolder folder;
  const auto refusal = [&](const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes) {
    const auto weights = shaped(folder, shapes);
    const auto error = caught([&] { find_mlps(weights); });
    CHECK(error.code() == ExitCode::kBadInput);
    return std::string(error.what());
  };
  CHECK(contains(refusal({{"blocks.0.weight", {5, 3}}}), "blocks.0.weight: expected an even number of rows"));
  CHECK(
      contains(refusal({{"h.0.mlp.w.weight", {4, 3}}, {"h.0.mlp.p.weight", {3, 4}}}), "twice as many rows"));
  CHECK(contains(refusal({{"W_l", {4, 3}}}), "W_r beside W_l"));
  CHECK(find_mlps(
            shaped(folder,
                   {{"blocks.0.weight", {6}}, {"blocks.x.weight", {6, 2}}, {"myblocks.0.weight", {6, 2}}}))
            .empty());
}

}  // namespace
}  // namespace bilens::mlp_names_test
