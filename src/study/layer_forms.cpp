#include "layer_forms.h"

#include <ATen/ATen.h>

namespace bilens {

at::Tensor inverse_gain(const at::Tensor& gain, at::Device device) {
  if (!gain.defined()) return {};
  const auto wide = gain.to(device, at::kDouble);
  return at::where(wide == 0, 0.0, 1 / wide);
}

LayerForms::LayerForms(const LayerDecomposition& d, const MlpGains& gains, at::Device device) {
  const auto wide = [&](const at::Tensor& x) { return x.defined() ? x.to(device, at::kDouble) : x; };
  vectors_ = d.pairs.eigenvectors.to(device), values_ = wide(d.pairs.eigenvalues);
  directions_ = wide(d.directions), linear_ = wide(d.linear), constant_ = wide(d.constant);
  shift_ = wide(d.shift);
  before_gain_ = inverse_gain(gains.before, device);
  gain_behind_ = wide(gains.behind), before_gain_behind_ = inverse_gain(gains.behind, device);
}

at::Tensor LayerForms::inputs(const at::Tensor& x) const {
  const auto wide = x.to(at::kDouble);
  return before_gain_.defined() ? wide * before_gain_ : wide;
}

at::Tensor LayerForms::through_gain(const at::Tensor& y) const {
  return gain_behind_.defined() ? y * gain_behind_ : y;
}

at::Tensor LayerForms::outputs(const at::Tensor& y) const {
  const auto wide = through_gain(y.to(at::kDouble));
  return directions_.defined() ? wide.mm(directions_.t()) : wide;
}

at::Tensor LayerForms::sizes(const at::Tensor& y) const {
  const auto wide = through_gain(y.to(at::kDouble)).abs();
  return directions_.defined() ? wide.mm(directions_.abs().t()) : wide;
}

at::Tensor LayerForms::projections(const at::Tensor& x, int64_t first) const {
  return x.mm(vectors_.narrow(1, 0, first).flatten(0, 1).to(at::kDouble).t());
}

at::Tensor LayerForms::linear(const at::Tensor& x) const {
  return linear_.defined() ? x.mm(linear_.t()) : at::zeros({x.size(0), directions()}, x.options());
}

at::Tensor LayerForms::constant(const at::Tensor& x) const {
  return constant_.defined() ? constant_.expand({x.size(0), -1})
                             : at::zeros({x.size(0), directions()}, x.options());
}

at::Tensor LayerForms::rest(const at::Tensor& x) const {
  const auto known = linear(x) + constant(x);
  return shift_.defined() ? known + shift_ * x.square().sum(1, true) : known;
}

at::Tensor LayerForms::contributions(const at::Tensor& projections) const {
  const auto p = projections.unflatten(1, {directions(), -1});
  return p.square() * values_.narrow(1, 0, p.size(2));
}

at::Tensor LayerForms::truncated(const at::Tensor& x, const at::Tensor& y, int64_t k,
                                 const at::Tensor& dual) const {
  const auto in = inputs(x);
  auto kept = rest(in);
  if (k > 0) kept = kept + contributions(projections(in, k)).sum(2);
  const auto changed = dual.defined() ? through_gain(y.to(at::kDouble)) + (kept - outputs(y)).mm(dual) : kept;
  return before_gain_behind_.defined() ? changed * before_gain_behind_ : changed;
}

at::Tensor LayerForms::dual() const {
  if (!directions_.defined()) return {};
  // Directions are stored in float32: below its rounding they do not tell apart.
  constexpr double kRounding = 1.2e-7;
  return at::linalg_pinv(directions_,
                         kRounding * static_cast<double>(std::max(directions_.size(0), directions_.size(1))))
      .t();
}

at::Tensor LayerForms::scales(const at::Tensor& down) const {
  if (!directions_.defined()) return down;
  return down.defined() ? directions_.mm(down.to(at::kDouble)).to(down.scalar_type()) : directions_;
}

}  // namespace bilens
