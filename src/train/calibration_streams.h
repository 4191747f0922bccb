#pragma once

#include "bilens/train/bilinear_fit.h"
#include "calibration_tokens.h"

namespace bilens {

/// The calibration tokens with the residual streams of both models, taken from layer to layer.
class CalibrationStreams {
 public:
  CalibrationStreams(Decoder& teacher, Decoder& converted, const CalibrationText& text);

  /// Through the whole layer in the teacher, and through its attention in the converted model.
  /// @param mlp the teacher's, before its activation is taken away
  void enter(int64_t layer, const BilinearFactors& mlp);

  /// Adds the finished MLP's outputs to the converted model's stream.
  void leave(const BilinearFactors& mlp, Gate gate);

  int64_t tokens_for(TokenUse what) const;

  /// Inputs of the converted MLP, and what it has to give, of the tokens that serve for this: what the
  /// teacher's stream has more, times what the norm behind the teacher's MLP divides by.
  FitData data(TokenUse what) const;

 private:
  double epsilon() const { return teacher_.config().rms_norm_eps; }
  bool has_norm_behind() const { return teacher_.gain_behind_mlp(layer_).defined(); }
  void each_part(const std::function<void(int64_t, int64_t)>& use) const;
  at::Tensor mlp_inputs(const at::Tensor& h) const;
  at::Tensor mlp_outputs(const at::Tensor& x, const BilinearFactors& mlp, Gate gate) const;

  Decoder &teacher_, &converted_;
  int64_t windows_at_once_;
  bool constant_;
  int64_t layer_ = 0;
  at::Tensor starts_;
  at::Tensor uses_;            // uint8 [windows, context]
  at::Tensor target_, state_;  // [windows, context, hidden_size]: the teacher's, the converted model's
  at::Tensor weights_;         // [windows, context]
  at::Tensor divisors_;        // [windows, context] of the norm behind the teacher's MLP
};

}  // namespace bilens
