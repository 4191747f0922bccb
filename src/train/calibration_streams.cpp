#include "calibration_streams.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/core/stop.h"
#include "bilens/nn/gated_product.h"

namespace bilens {

CalibrationStreams::CalibrationStreams(Decoder& teacher, Decoder& converted, const CalibrationText& text)
    : teacher_(teacher),
      converted_(converted),
      windows_at_once_(text.rows.windows_at_once),
      constant_(converted.config().mlp_bias),
      starts_(text.rows.starts),
      uses_(text.uses) {
  target_ = teacher.embed(text.rows.tokens);
  state_ = target_.clone();
  weights_ = at::empty(text.rows.tokens.sizes(), target_.options());
  divisors_ = at::empty_like(weights_);
}

void CalibrationStreams::enter(int64_t layer, const BilinearFactors& mlp) {
  layer_ = layer;
  each_part([&](int64_t begin, int64_t count) {
    auto target = target_.narrow(0, begin, count), state = state_.narrow(0, begin, count);
    const auto starts = starts_.defined() ? starts_.narrow(0, begin, count) : at::Tensor();
    const auto h = teacher_.add_attention(layer, target, starts);
    const auto x = mlp_inputs(h.flatten(0, 1));
    const auto output = mlp_outputs(x, mlp, teacher_.config().gate_of(layer)).view(h.sizes());
    target.copy_(h + teacher_.mlp_change(layer, output));
    state.copy_(converted_.add_attention(layer, state, starts));
    auto weights = weights_.narrow(0, begin, count);
    weights.copy_((target.square().mean(-1) + epsilon()).reciprocal());
    if (!has_norm_behind()) return;
    const auto squares = output.square().mean(-1) + epsilon();
    divisors_.narrow(0, begin, count).copy_(squares.sqrt());
    weights.div_(squares);
  });
}

void CalibrationStreams::leave(const BilinearFactors& mlp, Gate gate) {
  each_part([&](int64_t begin, int64_t count) {
    auto state = state_.narrow(0, begin, count);
    const auto output = mlp_outputs(mlp_inputs(state.flatten(0, 1)), mlp, gate);
    state += converted_.mlp_change(layer_, output.view(state.sizes()));
  });
}

int64_t CalibrationStreams::tokens_for(TokenUse what) const {
  return uses_.eq(static_cast<int64_t>(what)).sum().item<int64_t>();
}

FitData CalibrationStreams::data(TokenUse what) const {
  return [this, what](const std::function<void(const FitRows&)>& use) {
    each_part([&](int64_t begin, int64_t count) {
      const auto chosen =
          uses_.narrow(0, begin, count).flatten().eq(static_cast<int64_t>(what)).nonzero().squeeze(1);
      const auto rows = [&](const at::Tensor& all) {
        return all.narrow(0, begin, count).flatten(0, 1).index_select(0, chosen);
      };
      const auto state = rows(state_);
      auto wanted = rows(target_) - state;
      if (has_norm_behind()) wanted *= rows(divisors_).unsqueeze(1);
      use({mlp_inputs(state), wanted, rows(weights_)});
    });
  };
}

void CalibrationStreams::each_part(const std::function<void(int64_t, int64_t)>& use) const {
  for (int64_t begin = 0; begin < state_.size(0); begin += windows_at_once_) {
    if (stop_requested()) throw Stopped{};
    use(begin, std::min(windows_at_once_, state_.size(0) - begin));
  }
}

/// [n, hidden_size], behind the norm and with a 1 for biases.
at::Tensor CalibrationStreams::mlp_inputs(const at::Tensor& h) const {
  const auto x = converted_.mlp_input(layer_, h);
  return constant_ ? at::cat({x, at::ones({x.size(0), 1}, x.options())}, 1) : x;
}

at::Tensor CalibrationStreams::mlp_outputs(const at::Tensor& x, const BilinearFactors& mlp, Gate gate) const {
  auto hidden = gated_product(x.mm(mlp.gate.t()), x.mm(mlp.up.t()), gate);
  if (constant_) hidden = at::cat({hidden, at::ones({hidden.size(0), 1}, hidden.options())}, 1);
  return hidden.mm(mlp.down.t());
}

}  // namespace bilens
