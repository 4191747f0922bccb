#include "bilens/model/generation.h"

#include <algorithm>

#include "catch.h"
#include "random_decoder.h"

namespace bilens::generation_test {
namespace {

const std::vector<int32_t> kPrompt = {1, 2, 3, 4, 5};

/// A random model of 64 positions with these end tokens.
Decoder model_that_ends_at(std::vector<int64_t> ends) {
  auto config = test::config_of(Gate::kNone, false);
  config.eos_token_id = std::move(ends);
  return Decoder(config, at::kCPU, 3);
}

Continuation continued(Decoder& model, int64_t max_tokens) {
  return continue_tokens(model, kPrompt, max_tokens, {}, [](int32_t) {});
}

TEST_CASE("a text ends at the model's last position") {
  auto model = model_that_ends_at({});
  const auto text = continued(model, 1000);
  CHECK(text.tokens.size() == 64 - kPrompt.size());
  CHECK_FALSE(text.ended);
}

TEST_CASE("a text ends at --max-tokens and at an end token, which is no part of it") {
  auto model = model_that_ends_at({});
  const auto whole = continued(model, 1000).tokens;
  const auto text = continued(model, 7);
  CHECK_FALSE(text.ended);
  CHECK(text.tokens == std::vector<int32_t>(whole.begin(), whole.begin() + 7));
  const int32_t end = whole[20];
  auto ending = model_that_ends_at({end});
  const auto ended = continued(ending, 1000);
  CHECK(ended.ended);
  CHECK(ended.tokens == std::vector<int32_t>(whole.begin(), std::find(whole.begin(), whole.end(), end)));
}

}  // namespace
}  // namespace bilens::generation_test
