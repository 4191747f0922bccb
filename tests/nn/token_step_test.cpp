#include "bilens/nn/token_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "bilens/nn/gated_mlp.h"
#include "bilens/nn/linear.h"
#include "bilens/nn/rms_norm.h"
#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::token_step_test {
namespace {

enum class Normed { kNone, kHeads, kProjections };

struct Shape {
  int64_t hidden, intermediate, vocabulary;
  AttentionHeads heads;
  bool biased;
  Gate gate;
  Normed query_key = Normed::kNone;
  bool before = true, behind = false;
};

at::Tensor random(at::IntArrayRef shape, uint64_t seed, double scale) {
  return at::randn(shape, make_generator(at::kCPU, seed), at::TensorOptions()) * scale;
}

/// Two layers of random weights, so large that activations stay around 1.
DecoderStack random_stack(const Shape& s) {
  DecoderStack stack;
  stack.heads = s.heads;
  uint64_t seed = 1;
  const auto matrix = [&](int64_t rows, int64_t columns) {
    return random({rows, columns}, seed++, 1 / std::sqrt(static_cast<double>(columns)));
  };
  const auto vector = [&](int64_t size) { return random({size}, seed++, 0.3); };
  const int64_t q = s.heads.heads * s.heads.head_dim, kv = s.heads.kv_heads * s.heads.head_dim;
  for (int i = 0; i < 2; ++i) {
    DecoderLayer layer;
    const auto gain = [&](bool wanted) { return wanted ? 1 + vector(s.hidden) : at::Tensor(); };
    layer.attention_norms = {gain(s.before), gain(s.behind)};
    layer.mlp_norms = {gain(s.before), gain(s.behind)};
    layer.qkv = packed_rows({q, kv, kv}, s.hidden, at::TensorOptions());
    auto both = packed_rows({s.intermediate, s.intermediate}, s.hidden, at::TensorOptions());
    for (auto* weights : {&layer.qkv, &both}) {
      for (const auto& weight : *weights) at::Tensor(weight).copy_(matrix(weight.size(0), s.hidden));
    }
    layer.gate = both[0], layer.up = both[1];
    layer.o = matrix(s.hidden, q), layer.down = matrix(s.hidden, s.intermediate);
    if (s.biased) {
      layer.qkv_bias = {vector(q), vector(kv), vector(kv)};
      layer.o_bias = vector(s.hidden), layer.down_bias = vector(s.hidden);
      layer.gate_bias = vector(s.intermediate), layer.up_bias = vector(s.intermediate);
    }
    const bool each = s.query_key == Normed::kHeads, all = s.query_key == Normed::kProjections;
    if (each || all) {
      layer.q_norm = 1 + vector(all ? q : s.heads.head_dim);
      layer.k_norm = 1 + vector(all ? kv : s.heads.head_dim);
    }
    layer.window = i == 0 ? s.heads.window : 0;
    if (i == 1 && s.query_key != Normed::kNone) layer.turning = all ? Turning::kLocal : Turning::kNone;
    stack.layers.push_back(layer);
    stack.activations.emplace_back(s.gate, i == 0 ? 1.0 : 0.5);
  }
  stack.norm = 1 + vector(s.hidden), stack.head = matrix(s.vocabulary, s.hidden);
  return stack;
}

std::vector<at::Tensor> doubled(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> result;
  for (const auto& tensor : tensors) {
    if (tensor.defined()) result.push_back(tensor.to(at::kDouble));
  }
  return result;
}

/// The functions that a step replaces, in float64.
at::Tensor composed(const DecoderStack& stack, const at::Tensor& embedding, std::vector<LayerCache>& cache,
                    int64_t position, const RotaryTables& rotary) {
  const auto wide = [](const at::Tensor& x) { return x.defined() ? x.to(at::kDouble) : x; };
  auto h = embedding.to(at::kDouble).unsqueeze(1);
  for (size_t i = 0; i < stack.layers.size(); ++i) {
    const DecoderLayer& layer = stack.layers[i];
    const auto normed = [&](const at::Tensor& x, const at::Tensor& gain) {
      return gain.defined() ? rms_norm(x, wide(gain), stack.epsilon) : x;
    };
    const auto x = normed(h, layer.attention_norms.before);
    auto heads = stack.heads;
    heads.window = layer.window;
    auto qkv = linear(x, doubled(layer.qkv), doubled(layer.qkv_bias));
    if (layer.q_norm.defined())
      qkv = normalize_heads(qkv, heads, wide(layer.q_norm), wide(layer.k_norm), stack.epsilon);
    const auto out = cached_attention(qkv, heads, rotary.of(layer.turning), cache[i], position);
    h = h + normed(linear(out, doubled({layer.o}), doubled({layer.o_bias})), layer.attention_norms.behind);
    const auto y = gated_mlp(normed(h, layer.mlp_norms.before),
                             {wide(layer.gate), wide(layer.up), wide(layer.down), wide(layer.gate_bias),
                              wide(layer.up_bias), wide(layer.down_bias)},
                             stack.activations[i]);
    h = h + normed(y, layer.mlp_norms.behind);
  }
  return linear(rms_norm(h, wide(stack.norm), stack.epsilon), {wide(stack.head)}).squeeze(1);
}

constexpr int64_t kCapacity = 9;

std::vector<LayerCache> empty_cache(const DecoderStack& stack, at::ScalarType dtype) {
  std::vector<LayerCache> cache;
  for (size_t i = 0; i < stack.layers.size(); ++i) {
    const auto make = [&] {
      return at::zeros({1, stack.heads.kv_heads, kCapacity, stack.heads.head_dim}, dtype);
    };
    cache.push_back({make(), make()});
  }
  return cache;
}

RotaryTables angles(int64_t head_dim) {
  const auto angle = at::arange(kCapacity).unsqueeze(1) * at::pow(10.0, -at::arange(head_dim / 2) / head_dim);
  const auto table = [](const at::Tensor& x) {
    return RotaryTable{x.cos().to(at::kFloat), x.sin().to(at::kFloat)};
  };
  const auto global = table(angle);
  return {without_turning(global), global, table(angle * 0.3)};
}

at::Tensor steps(TokenStep& step, const DecoderStack& stack, const std::vector<at::Tensor>& embeddings) {
  auto cache = empty_cache(stack, at::kFloat);
  std::vector<at::Tensor> logits;
  for (size_t t = 0; t < embeddings.size(); ++t)
    logits.push_back(step(embeddings[t], cache, static_cast<int64_t>(t), angles(stack.heads.head_dim)));
  return at::stack(logits);
}

std::vector<at::Tensor> random_embeddings(int64_t hidden) {
  std::vector<at::Tensor> embeddings;
  for (int64_t t = 0; t < kCapacity; ++t) embeddings.push_back(random({1, hidden}, 50 + t, 1.0));
  return embeddings;
}

const std::vector<Shape> kShapes = {
    {36, 50, 23, {3, 1, 6}, true, Gate::kSilu},       // one thread; nothing a multiple of a vector
    {128, 344, 101, {8, 4, 16}, false, Gate::kNone},  // several threads
    {136, 90, 57, {4, 4, 34}, true, Gate::kGelu},
    // A window, norms of heads, and a layer that is not turned.
    {36, 50, 23, {4, 2, 8, 3}, true, Gate::kSilu, Normed::kHeads},
    {128, 97, 33, {8, 2, 16}, false, Gate::kSilu, Normed::kHeads},
    // Norms in front and behind, a scale and a cap of scores; norms behind alone, and of whole projections.
    {128, 97, 33, {8, 2, 16, 4, 0.4, 2.0}, false, Gate::kGeluTanh, Normed::kHeads, true, true},
    {128, 97, 33, {8, 2, 16}, true, Gate::kSilu, Normed::kProjections, false, true},
    {128, 97, 33, {2, 1, 64}, false, Gate::kRelu}};  // fewer heads than threads

TEST_CASE("a step gives what the layers' functions give in float64") {
  for (const Shape& shape : kShapes) {
    CAPTURE(shape.hidden, shape.intermediate);
    const auto stack = random_stack(shape);
    auto step = TokenStep::of(stack, kCapacity);
    REQUIRE(step.has_value());
    const auto embeddings = random_embeddings(shape.hidden);
    const auto found = steps(*step, stack, embeddings);
    auto cache = empty_cache(stack, at::kDouble);
    for (size_t t = 0; t < embeddings.size(); ++t) {
      const auto expected =
          composed(stack, embeddings[t], cache, static_cast<int64_t>(t), angles(shape.heads.head_dim));
      // Four products in a row a layer, sums of at most 344 terms of order 1.
      CHECK((found[static_cast<int64_t>(t)] - expected).abs().max().item<double>() <
            6e-8 * 8 * 344 * expected.abs().max().item<double>() / 10);
    }
    CHECK(steps(*step, stack, embeddings).equal(found));  // nothing stays behind in its buffers
  }
}

TEST_CASE("inside a parallel region a step runs on its own thread, with the same result") {
  const auto stack = random_stack(kShapes[1]);
  const auto embeddings = random_embeddings(kShapes[1].hidden);
  auto step = TokenStep::of(stack, kCapacity);
  const auto expected = steps(*step, stack, embeddings);
  std::vector<at::Tensor> found(4);
  at::parallel_for(0, 4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto own = TokenStep::of(stack, kCapacity);
      found[static_cast<size_t>(i)] = steps(*own, stack, embeddings);
    }
  });
  for (const auto& one : found) CHECK(one.equal(expected));
}

TEST_CASE("weights of another dtype, or apart in memory, are left to the layers' functions") {
  auto stack = random_stack(kShapes[1]);
  stack.layers[1].down = stack.layers[1].down.to(at::kBFloat16);
  CHECK_FALSE(TokenStep::of(stack, kCapacity).has_value());
  stack = random_stack(kShapes[1]);
  stack.layers[0].up = stack.layers[0].up.clone();
  CHECK_FALSE(TokenStep::of(stack, kCapacity).has_value());
  stack = random_stack(kShapes[1]);
  stack.head = stack.head.t().contiguous().t();
  CHECK_FALSE(TokenStep::of(stack, kCapacity).has_value());
}

}  // namespace
}  // namespace bilens::token_step_test
