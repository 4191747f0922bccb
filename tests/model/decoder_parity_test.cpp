// Against what transformers computes for random tiny models: scripts/make_llama_fixtures.py.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "bilens/model/decoder_directory.h"
#include "catch.h"

namespace bilens::decoder_parity_test {
namespace {

const std::filesystem::path kFixtures = "tests/model/fixtures/llama";

std::set<std::string> fixtures() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFixtures))
    names.insert(entry.path().filename());
  return names;
}

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

struct Run {
  at::Tensor logits, loss;
  std::map<std::string, at::Tensor> gradients;
};

/// Each token but the first of a row is the target of the one before.
at::Tensor next_tokens(const at::Tensor& tokens) {
  return at::cat({tokens.slice(1, 1), at::full({tokens.size(0), 1}, -1, tokens.options())}, 1);
}

Run run(const std::string& name, const ForwardOptions& options = {}) {
  DecoderLoadOptions load;
  load.dtype = at::kFloat;
  load.copy = true;
  auto model = load_decoder(kFixtures / name, load);
  model.require_gradients(true);
  const auto tokens = SafetensorsFile(kFixtures / name / "expected.safetensors").tensor("tokens").clone();
  Run run;
  run.logits = model.logits(model.final_states(tokens, options)).detach();
  run.loss = model.loss_sum(tokens, next_tokens(tokens), options) / (tokens.size(0) * (tokens.size(1) - 1));
  run.loss.backward();
  for (const auto& [key, parameter] : model.parameters()) run.gradients[key] = parameter.grad();
  return run;
}

TEST_CASE("logits, loss and every gradient equal those of transformers") {
  REQUIRE(fixtures().size() == 7);
  for (const auto& name : fixtures()) {
    CAPTURE(name);
    const SafetensorsFile expected(kFixtures / name / "expected.safetensors");
    const auto found = run(name);
    CHECK(relative_error(found.logits, expected.tensor("logits")) < 1e-5);
    CHECK(relative_error(found.loss, expected.tensor("loss")) < 1e-5);
    CHECK(expected.tensors().size() == found.gradients.size() + 3);
    for (const auto& [key, gradient] : found.gradients) {
      CAPTURE(key);
      CHECK(relative_error(gradient, expected.tensor("grad." + key)) < 1e-5);
    }
  }
}

TEST_CASE("layers that are computed again give the same gradients, bit for bit") {
  ForwardOptions options;
  options.checkpoint_layers = true;
  for (const auto& name : fixtures()) {
    CAPTURE(name);
    const auto plain = run(name), again = run(name, options);
    CHECK(at::equal(plain.loss, again.loss));
    for (const auto& [key, gradient] : plain.gradients) {
      CAPTURE(key);
      CHECK(at::equal(gradient, again.gradients.at(key)));
    }
  }
}

}  // namespace
}  // namespace bilens::decoder_parity_test
