#include "bilens/io/llama2c.h"

#include <ATen/ATen.h>

#include <cstring>

#include "bilens/io/weights.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::llama2c_test {
namespace {

using test::caught;
using test::contains;

std::string ints(const std::vector<int32_t>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int32_t)};
}

/// `count` numbers `first`, first + 1, ...
std::string numbers(int64_t count, float first = 0) {
  const auto values = at::arange(count, at::kFloat) + first;
  return {static_cast<const char*>(values.const_data_ptr()), static_cast<size_t>(count) * sizeof(float)};
}

// dim 8, hidden 6, 2 layers, 2 heads of 4, 1 key-value head, 5 words, 3 positions: numbers in each kind of
// tensor
constexpr int64_t kEmbed = 5 * 8, kNorm = 8, kQuery = 64, kKey = 32, kHidden = 48, kAngles = 2 * 3 * 2;
constexpr int64_t kLayers = 2 * (2 * kNorm + 2 * kQuery + 2 * kKey + 3 * kHidden);

std::string version_0(bool shared) {
  return ints({8, 6, 2, 2, 1, shared ? 5 : -5, 3}) +
         numbers(kEmbed + kLayers + kNorm + kAngles + (shared ? 0 : kEmbed));
}
std::string version_1(bool shared, int32_t version = 1) {
  std::string header = ints({0x616b3432, version, 8, 6, 2, 2, 1, 5, 3}) + static_cast<char>(shared);
  header.resize(256, '\0');
  return header + numbers(kEmbed + kLayers + kNorm + (shared ? 0 : kEmbed));
}

std::string refusal(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "m.bin", bytes);
  const auto error = caught([&] { Weights weights(folder / "m.bin"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "m.bin"));
  return error.what();
}

at::Tensor counted(at::IntArrayRef shape, int64_t first) {
  return (at::arange(c10::multiply_integers(shape), at::kFloat) + first).reshape(shape);
}

TEST_CASE("rotary rows go from pairs to halves, head by head") {
  const auto rows = at::arange(8, at::kFloat).reshape({8, 1});
  CHECK(at::equal(rotary_rows_to_halves(rows, 2).flatten(),
                  at::tensor({0.f, 2.f, 1.f, 3.f, 4.f, 6.f, 5.f, 7.f})));
  CHECK(at::equal(rotary_rows_to_halves(rows, 1).flatten(),
                  at::tensor({0.f, 2.f, 4.f, 6.f, 1.f, 3.f, 5.f, 7.f})));
}

TEST_CASE("version 0: the tensors in llama2.c's order, the angles skipped, the head behind them") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "m.bin", version_0(false));
  const Weights weights(folder / "m.bin");
  const auto& header = weights.llama2c().value();
  CHECK(header.version == 0);
  CHECK(header.vocab_size == 5);
  CHECK_FALSE(header.shared_classifier);
  CHECK(weights.tensors().size() == 2 * 9 + 3);
  CHECK(at::equal(weights.tensor("model.embed_tokens.weight"), counted({5, 8}, 0)));
  int64_t at = kEmbed;
  CHECK(at::equal(weights.tensor("model.layers.1.input_layernorm.weight"), counted({8}, at + kNorm)));
  at += 2 * kNorm;
  CHECK(at::equal(weights.tensor("model.layers.1.self_attn.q_proj.weight"),
                  rotary_rows_to_halves(counted({8, 8}, at + kQuery), 2)));
  at += 2 * kQuery;
  CHECK(at::equal(weights.tensor("model.layers.0.self_attn.k_proj.weight"),
                  rotary_rows_to_halves(counted({4, 8}, at), 1)));
  at += 2 * kKey;
  CHECK(at::equal(weights.tensor("model.layers.1.self_attn.v_proj.weight"), counted({4, 8}, at + kKey)));
  at += 2 * kKey;
  CHECK(at::equal(weights.tensor("model.layers.0.self_attn.o_proj.weight"), counted({8, 8}, at)));
  at += 2 * kQuery + 2 * kNorm;
  CHECK(at::equal(weights.tensor("model.layers.0.mlp.gate_proj.weight"), counted({6, 8}, at)));
  at += 2 * kHidden;
  CHECK(at::equal(weights.tensor("model.layers.0.mlp.down_proj.weight"), counted({8, 6}, at)));
  at += 2 * kHidden;
  CHECK(at::equal(weights.tensor("model.layers.1.mlp.up_proj.weight"), counted({6, 8}, at + kHidden)));
  at += 2 * kHidden;
  CHECK(at::equal(weights.tensor("model.norm.weight"), counted({8}, at)));
  CHECK(at::equal(weights.tensor("lm_head.weight"), counted({5, 8}, at + kNorm + kAngles)));
}

TEST_CASE("version 1: norms first, and the head only where it is not shared") {
  const test::TemporaryFolder folder;
  test::write_file(folder / "m.bin", version_1(false));
  test::write_file(folder / "shared.bin", version_1(true));
  const Weights weights(folder / "m.bin"), shared(folder / "shared.bin");
  CHECK(weights.llama2c()->version == 1);
  int64_t at = 0;
  CHECK(at::equal(weights.tensor("model.layers.1.input_layernorm.weight"), counted({8}, at + kNorm)));
  at += 2 * kNorm;
  CHECK(at::equal(weights.tensor("model.layers.0.post_attention_layernorm.weight"), counted({8}, at)));
  at += 2 * kNorm;
  CHECK(at::equal(weights.tensor("model.norm.weight"), counted({8}, at)));
  CHECK(at::equal(weights.tensor("model.embed_tokens.weight"), counted({5, 8}, at + kNorm)));
  CHECK(at::equal(weights.tensor("lm_head.weight"), counted({5, 8}, kLayers + kNorm + kEmbed)));
  CHECK(shared.llama2c()->shared_classifier);
  CHECK_FALSE(shared.contains("lm_head.weight"));
}

TEST_CASE("sizes that are zero, negative, huge or do not fit together are named") {
  const char* names[] = {"dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  for (size_t i = 0; i < 7; ++i) {
    for (const int32_t value : {0, -1, INT32_MIN, INT32_MAX}) {
      if (i == 5 && value == -1) continue;  // a head of its own
      std::vector<int32_t> sizes = {8, 6, 2, 2, 1, 5, 3};
      sizes[i] = value;
      CAPTURE(i, value);
      const std::string rest = version_0(true).substr(28);
      const std::string message = refusal(ints(sizes) + rest);
      if (value <= 0) CHECK(contains(message, names[i]));
      refusal(version_1(true).substr(0, 8) + ints(sizes) + version_1(true).substr(36));
    }
  }
  CHECK(contains(refusal(ints({8, 6, 2, 3, 1, 5, 3})), "n_heads"));
  CHECK(contains(refusal(ints({8, 6, 2, 8, 1, 5, 3})), "even"));
  CHECK(contains(refusal(ints({8, 6, 2, 4, 3, 5, 3})), "n_kv_heads"));
  CHECK(contains(refusal(ints(std::vector<int32_t>(7, INT32_MAX - 1))), "n_layers"));
  CHECK(contains(refusal(ints({1 << 30, 1 << 30, 9999, 2, 1, 1 << 30, 1 << 24})), "fit into memory"));
}

TEST_CASE("a file of another length than its header asks for, and versions that are not known, are refused") {
  for (const auto& good : {version_0(true), version_0(false), version_1(true), version_1(false)}) {
    CHECK(contains(refusal(good.substr(0, good.size() - 1)), std::to_string(good.size()) + " bytes"));
    CHECK(contains(refusal(good + "x"), std::to_string(good.size()) + " bytes"));
  }
  CHECK(contains(refusal(version_0(true).substr(0, 27)), "28 bytes"));
  CHECK(contains(refusal(version_1(true).substr(0, 255)), "256 bytes"));
  CHECK(contains(refusal(""), "0 bytes"));
  CHECK(contains(refusal(version_1(true, 2)), "group_size: expected a positive size, found 0"));
  CHECK(contains(refusal(version_1(true, 3)), "version: expected 1 or 2, found 3"));
  std::string flagged = version_1(true);
  flagged[36] = 2;
  CHECK(contains(refusal(flagged), "shared_classifier"));
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\n"), "Git-LFS"));
  CHECK(contains(refusal("<!DOCTYPE html><html>"), "HTML"));
}

TEST_CASE("a published model: its sizes, and numbers as trained weights are") {
  if (!test::have_test_data("stories260K")) return;
  const Weights weights(test::test_data_folder() / "stories260K/stories260K.bin");
  const auto& header = weights.llama2c().value();
  CHECK(header.dim == 64);
  CHECK(header.hidden_dim == 172);
  CHECK(header.n_layers == 5);
  CHECK(header.n_heads == 8);
  CHECK(header.n_kv_heads == 4);
  CHECK(header.vocab_size == 512);
  CHECK(header.seq_len == 512);
  CHECK(header.shared_classifier);
  int64_t parameters = 0;
  for (const auto& [name, info] : weights.tensors()) {
    parameters += info.elements();
    CAPTURE(name);
    const auto tensor = weights.tensor(name);
    CHECK(at::isfinite(tensor).all().item<bool>());
    CHECK(tensor.abs().max().item<float>() < 20);
    CHECK(tensor.abs().mean().item<float>() > 1e-3);
  }
  CHECK(parameters == 260'032);
}

}  // namespace
}  // namespace bilens::llama2c_test
