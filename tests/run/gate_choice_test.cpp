#include "layers/gate_choice.h"

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
  const auto choice = choose_gate(saying("silu"), nullptr, "auto", "m");
  CHECK(choice.name == "silu");
  CHECK(choice.source == "config.json: hidden_act");
  CHECK_FALSE(choice.is_bilinear());
  CHECK(choice.has_half());
  CHECK(choose_gate(saying("silu"), nullptr, "silu", "m").name == "silu");
  const auto error = caught([] { choose_gate(saying("silu"), nullptr, "none", "m"); });
  CHECK(error.code() == ExitCode::kUsage);
  CHECK(contains(error.what(), "config.json: hidden_act"));
}

TEST_CASE("a gate that no file names is asked for, or taken from the names of the tensors") {
  CHECK(choose_gate({}, nullptr, "none", "m").is_bilinear());
  CHECK(choose_gate({}, nullptr, "none", "m").source == "--gate");
  Family names;
  names.gate_by_names = "silu";
  CHECK(choose_gate({}, &names, "auto", "m").name == "silu");
  CHECK(choose_gate({}, &names, "none", "m").name == "none");
  const auto error = caught([] { choose_gate({}, nullptr, "auto", "m"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "--gate none"));
}

TEST_CASE("a gate without a linear half has none") {
  CHECK_FALSE(choose_gate(saying("tanh"), nullptr, "auto", "m").has_half());
}

}  // namespace bilens::gate_choice_test
