#include "bilens/nn/attention.h"

#include <cmath>

#include "catch.h"
#include "gpu.h"
#include "gradients.h"

namespace bilens::attention_test {
namespace {

constexpr double kEps = 1.2e-7;

RotaryTable angles(int64_t positions, int64_t head_dim) {
  const auto inverse = at::pow(10000.0, -at::arange(head_dim / 2, at::kDouble) * 2 / head_dim);
  const auto turn = at::arange(positions, at::kDouble).unsqueeze(1) * inverse;
  return {turn.cos().to(at::kFloat), turn.sin().to(at::kFloat)};
}

/// Softmax over a full score matrix, tokens turned one by one: slow, and obvious.
at::Tensor composed(const at::Tensor& qkv, const AttentionHeads& heads, const RotaryTable& table,
                    const at::Tensor& starts) {
  const int64_t batch = qkv.size(0), tokens = qkv.size(1), d = heads.head_dim;
  const auto parts = qkv.split_with_sizes({heads.heads * d, heads.kv_heads * d, heads.kv_heads * d}, 2);
  const auto by_head = [&](const at::Tensor& t) { return t.view({batch, tokens, -1, d}).transpose(1, 2); };
  const auto place = at::arange(tokens, at::kLong);
  const auto position = place - starts;  // [batch, tokens]
  const auto cosine = table.cosine.to(qkv.dtype()).index({position}).unsqueeze(1);
  const auto sine = table.sine.to(qkv.dtype()).index({position}).unsqueeze(1);
  const int64_t half = table.cosine.size(1);
  const auto turned = [&](const at::Tensor& t) {
    const auto a = t.narrow(3, 0, half), b = t.narrow(3, half, half);
    return at::cat({a * cosine - b * sine, b * cosine + a * sine, t.narrow(3, 2 * half, d - 2 * half)}, 3);
  };
  const auto shared = [&](const at::Tensor& t) {
    return t.repeat_interleave(heads.heads / heads.kv_heads, 1);
  };
  const auto q = turned(by_head(parts[0])), k = shared(turned(by_head(parts[1]))),
             v = shared(by_head(parts[2]));
  const int64_t window = heads.window > 0 ? heads.window : tokens;
  const auto back = place.unsqueeze(1) - place.unsqueeze(0);
  const auto seen = (back >= 0) & (back < window) & (place >= starts.unsqueeze(-1));
  auto scores = q.matmul(k.mT()) * (heads.scale > 0 ? heads.scale : 1 / std::sqrt(static_cast<double>(d)));
  if (heads.soft_cap > 0) scores = heads.soft_cap * (scores / heads.soft_cap).tanh();
  const auto weights = scores.masked_fill(seen.logical_not().unsqueeze(1), -INFINITY).softmax(-1);
  return weights.matmul(v).transpose(1, 2).reshape({batch, tokens, -1});
}

TEST_CASE("attention and its gradients are those of the composition in float64") {
  const std::vector<AttentionHeads> shapes = {{1, 1, 2},
                                              {4, 4, 8},
                                              {8, 4, 8},
                                              {6, 2, 6},
                                              {2, 1, 10},
                                              {4, 2, 16},
                                              {8, 1, 32},  // and with windows
                                              {4, 2, 8, 1},
                                              {2, 1, 8, 9},
                                              {4, 2, 16, 3},
                                              {2, 2, 32, 40},
                                              // and with a scale and a cap of their own
                                              {4, 2, 8, 0, 0.5},
                                              {4, 2, 16, 5, 0.7, 3.0},
                                              {4, 2, 8, 0, 0, 2.0},
                                              {2, 1, 20, 0, 0, 50.0}};
  for (const auto& heads : shapes) {
    for (const int64_t tokens : {1, 5, 67}) {
      const auto table = angles(tokens, heads.head_dim);
      const auto in = normal({2, tokens, (heads.heads + 2 * heads.kv_heads) * heads.head_dim}, 3);
      auto starts = at::zeros({2, tokens}, at::kLong);
      if (tokens > 4) starts[1].narrow(0, 3, tokens - 3).fill_(3);  // the second row has documents
      if (tokens > 40) starts[1].narrow(0, 38, tokens - 38).fill_(38);
      const auto slow = [&](const std::vector<at::Tensor>& t) {
        return composed(t[0], heads, table, starts);
      };
      const auto fast = [&](const std::vector<at::Tensor>& t) {
        return causal_attention(t[0], heads, token_positions(table, tokens, starts, t[0].options()));
      };
      CAPTURE(heads.heads, heads.kv_heads, heads.head_dim, heads.window, tokens);
      const auto expected = value_and_gradients(slow, {in}, at::kDouble);
      // Exponentials of scores up to some 20, sums of 67.
      CHECK(worst_relative(value_and_gradients(fast, {in}, at::kFloat), expected) < 200 * kEps);
      // The way without kernels, and its mask: the same sums in float64.
      CHECK(worst_relative(value_and_gradients(fast, {in}, at::kDouble), expected) < 1e-12);
    }
  }
}

TEST_CASE("of heads that are turned in part, the rest stays") {
  for (const int64_t d : {8, 20, 40}) {
    const AttentionHeads heads{4, 2, d};
    const int64_t tokens = 19;
    const auto table = angles(tokens, 4);
    const auto in = normal({2, tokens, 8 * d}, 3);
    const auto starts = at::zeros({2, tokens}, at::kLong);
    const auto slow = [&](const std::vector<at::Tensor>& t) { return composed(t[0], heads, table, starts); };
    const auto fast = [&](const std::vector<at::Tensor>& t) {
      return causal_attention(t[0], heads, token_positions(table, tokens, {}, t[0].options()));
    };
    const auto expected = value_and_gradients(slow, {in}, at::kDouble);
    CHECK(worst_relative(value_and_gradients(fast, {in}, at::kFloat), expected) < 200 * kEps);
    CHECK(worst_relative(value_and_gradients(fast, {in}, at::kDouble), expected) < 1e-12);
  }
}

TEST_CASE("attention and its gradients on a GPU are those on the CPU", "[gpu]") {
  if (!test::have_gpu()) return;
  for (const auto& heads :
       std::vector<AttentionHeads>{{4, 4, 16}, {8, 2, 64}, {4, 2, 16, 20}, {4, 2, 16, 20, 0.5, 3.0}}) {
    const int64_t tokens = 67;
    const auto table = angles(tokens, heads.head_dim);
    const auto in = normal({2, tokens, (heads.heads + 2 * heads.kv_heads) * heads.head_dim}, 3);
    auto starts = at::zeros({2, tokens}, at::kLong);
    starts[1].narrow(0, 38, tokens - 38).fill_(38);
    for (const auto& documents : {at::Tensor(), starts}) {
      const auto attend = [&](const std::vector<at::Tensor>& t) {
        const auto device = t[0].device();
        const RotaryTable there = {table.cosine.to(device), table.sine.to(device)};
        return causal_attention(t[0], heads, token_positions(there, tokens, documents, t[0].options()));
      };
      const auto expected = value_and_gradients(attend, {in}, at::kDouble);
      // Exponentials of scores up to some 20, sums of 67; numbers in bfloat16 have 2^-9.
      for (const auto& [dtype, bound] : std::vector<std::pair<at::ScalarType, double>>{
               {at::kDouble, 1e-12}, {at::kFloat, 200 * kEps}, {at::kBFloat16, 5e-2}}) {
        CAPTURE(heads.heads, documents.defined(), dtype);
        CHECK(worst_relative(value_and_gradients(attend, {in}, dtype, at::kCUDA), expected) < bound);
      }
    }
  }
}

TEST_CASE("norms of heads and their gradients are those of each head alone in float64") {
  const AttentionHeads heads{4, 2, 6};
  const std::vector<at::Tensor> in = {normal({2, 5, 48}, 6), 1 + normal({6}, 7), 1 + normal({6}, 8)};
  const auto fast = [&](const std::vector<at::Tensor>& t) {
    return normalize_heads(t[0], heads, t[1], t[2], 1e-6);
  };
  const auto slow = [&](const std::vector<at::Tensor>& t) {
    std::vector<at::Tensor> parts;
    for (int64_t head = 0; head < 8; ++head) {
      const auto x = t[0].narrow(2, 6 * head, 6);
      const auto normed = x / (x.square().mean(2, true) + 1e-6).sqrt();
      parts.push_back(head < 4 ? normed * t[1] : head < 6 ? normed * t[2] : x);
    }
    return at::cat(parts, 2);
  };
  const auto expected = value_and_gradients(slow, in, at::kDouble);
  CHECK(worst_relative(value_and_gradients(fast, in, at::kFloat), expected) < 50 * kEps);
  CHECK(worst_relative(value_and_gradients(fast, in, at::kDouble), expected) < 1e-12);
}

TEST_CASE("norms of whole projections are those of one vector") {
  const AttentionHeads heads{4, 2, 6};
  const std::vector<at::Tensor> in = {normal({2, 5, 48}, 6), 1 + normal({24}, 7), 1 + normal({12}, 8)};
  const auto fast = [&](const std::vector<at::Tensor>& t) {
    return normalize_heads(t[0], heads, t[1], t[2], 1e-6);
  };
  const auto slow = [&](const std::vector<at::Tensor>& t) {
    const auto normed = [](const at::Tensor& x) { return x / (x.square().mean(2, true) + 1e-6).sqrt(); };
    const auto parts = t[0].split_with_sizes({24, 12, 12}, 2);
    return at::cat({normed(parts[0]) * t[1], normed(parts[1]) * t[2], parts[2]}, 2);
  };
  const auto expected = value_and_gradients(slow, in, at::kDouble);
  CHECK(worst_relative(value_and_gradients(fast, in, at::kFloat), expected) < 50 * kEps);
  CHECK(worst_relative(value_and_gradients(fast, in, at::kDouble), expected) < 1e-12);
}

TEST_CASE("without documents, every token sees all before it") {
  const AttentionHeads heads{2, 1, 4};
  const auto table = angles(9, 4);
  const auto in = normal({1, 9, 16}, 4).to(at::kFloat);
  const auto attend = [&](const at::Tensor& starts) {
    return causal_attention(in, heads, token_positions(table, 9, starts, in.options()));
  };
  const auto none = attend({}), one = attend(at::zeros({1, 9}, at::kLong));
  CHECK(none.equal(one));
}

TEST_CASE("tokens one by one with a cache give what all together give") {
  const int64_t d = GENERATE(6, 8, 16, 20, 48), tokens = 13;
  const AttentionHeads heads{4, 2, d, GENERATE(0, 1, 4, 13), 0, GENERATE(0, 3)};
  const auto table = angles(tokens, d);
  const auto in = normal({2, tokens, 8 * d}, 5).to(at::kFloat);
  const auto all = causal_attention(in, heads, token_positions(table, tokens, {}, in.options()));
  LayerCache cache{at::zeros({2, 2, tokens, d}), at::zeros({2, 2, tokens, d})};
  for (const auto& [past, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 5}, {5, 1}, {6, 1}, {7, 6}}) {
    const auto part = cached_attention(in.narrow(1, past, count).contiguous(), heads, table, cache, past);
    CHECK((part - all.narrow(1, past, count)).abs().max().item<float>() < 50 * kEps);
  }
  const auto wide = in.to(at::kDouble);  // the way without kernels
  LayerCache there{at::zeros({2, 2, tokens, d}, at::kDouble), at::zeros({2, 2, tokens, d}, at::kDouble)};
  for (const auto& [past, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 5}, {5, 1}, {6, 1}, {7, 6}}) {
    const auto part = cached_attention(wide.narrow(1, past, count), heads, table, there, past);
    CHECK((part - all.narrow(1, past, count)).abs().max().item<double>() < 50 * kEps);
  }
}

}  // namespace
}  // namespace bilens::attention_test
