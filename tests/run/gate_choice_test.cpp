#include "layers/gate_choice.h"

#include "bilens/run/convert_run.h"
#include "catch.h"
#include "caught.h"

namespace bilens::gate_choice_test {
namespace {

using test::caught;
using test::contains;

Architecture saying(const std::string& gate) {
  Architecture architecture;
  architecture.gate = gate;
  architecture.gate_source = "config.json: hidden_act";
  return architecture;
}

}  // namespace

TEST_CASE("what a model says of its gate counts, and a contradiction is refused") {
  const auto choice = choose_gate(saying("silu"), nullptr, {}, "m");
  CHECK(choice.name == "silu");
  CHECK(choice.source == "config.json: hidden_act");
  CHECK_FALSE(choice.is_bilinear());
  CHECK(choice.has_half());
  CHECK(choose_gate(saying("silu"), nullptr, Gate::kSilu, "m").name == "silu");
  const auto error = caught([] { choose_gate(saying("silu"), nullptr, Gate::kNone, "m"); });
  CHECK(error.code() == ExitCode::kUsage);
  CHECK(contains(error.what(), "config.json: hidden_act"));
}

TEST_CASE("a gate that no file names is asked for, or taken from the names of the tensors") {
  CHECK(choose_gate({}, nullptr, Gate::kNone, "m").is_bilinear());
  CHECK(choose_gate({}, nullptr, Gate::kNone, "m").source == "--gate");
  Family names;
  names.gate_by_names = "silu";
  CHECK(choose_gate({}, &names, {}, "m").name == "silu");
  CHECK(choose_gate({}, &names, Gate::kNone, "m").name == "none");
  const auto error = caught([] { choose_gate({}, nullptr, {}, "m"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "--gate none"));
}

TEST_CASE("a gate is asked for by its word, and another is refused") {
  CHECK_FALSE(parse_gate("auto").has_value());
  for (const auto& [word, gate] : gate_names()) CHECK(parse_gate(word) == gate);
  const auto error = caught([] { parse_gate("swish"); });
  CHECK(error.code() == ExitCode::kUsage);
  CHECK(contains(error.what(), "--gate: expected none, silu, gelu, gelu_tanh, relu, found \"swish\""));
}

TEST_CASE("a gate without a linear half has none") {
  CHECK_FALSE(choose_gate(saying("tanh"), nullptr, {}, "m").has_half());
}

}  // namespace bilens::gate_choice_test
