#include "scaled_problem.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "bilens/tensor/random.h"
#include "forms/normalization.h"

namespace bilens {

namespace {

at::Tensor row_units(const at::Tensor& scales) {
  const auto largest = scales.abs().amax(1);
  return at::where(largest > 0, largest, at::ones_like(largest));
}

/// `to` takes the rows of W, each over the power of two that brings its largest entry near to 1.
/// @return the exponents [h], −∞ for a row of zeros
at::Tensor scale_rows(const at::Tensor& weight, at::Tensor to) {
  const auto exponents = binary_exponent(weight.abs().amax(1));
  const auto known = at::where(exponents.isfinite(), exponents, at::zeros_like(exponents));
  const auto wide = weight.to(at::promote_types(weight.scalar_type(), to.scalar_type()));
  to.copy_(scale_by_power(wide, -known.unsqueeze(1)));
  return exponents;
}

}  // namespace

ScaledProblem::ScaledProblem(const EigenProblem& stored, at::Device device, at::ScalarType dtype)
    : stored_(stored.on(device)), d_(stored.dimension()), n_(stored.count()), dtype_(dtype) {
  auto& layer = stored_.layer;
  const auto bring = [&](at::Tensor& tensor, const char* name, int times) {
    double own = 0;
    if (tensor.defined()) tensor = bring_near_one(tensor, name, own);
    exponent_ += times * own;
  };
  bring(layer.gate, "gate", 1);
  bring(layer.up, "up", 1);
  bring(layer.down, "down", 1);
  bring(stored_.embed, "embedding", 2);
  if (stored_.directions.defined()) stored_.directions = stored_.directions.to(at::kDouble);
  bring(stored_.directions, "directions", 1);
  const int64_t h = layer.d_hidden();
  weights_ = at::empty({2, h, layer.d_in()}, layer.gate.options().dtype(dtype));
  unit_exponents_ = scale_rows(layer.gate, weights_[0]) + scale_rows(layer.up, weights_[1]);
  if (stored_.embed.defined()) {
    const auto [a, r] = at::linalg_qr(scale_to_one(stored_.embed, dtype, embed_unit_).t());
    basis_ = a;
    weights_ = at::matmul(weights_, r.t());
  }
  if (2 * h < weights_.size(2)) {
    const auto [a, r] = at::linalg_qr(weights_.view({2 * h, -1}).t());
    basis_ = basis_.defined() ? basis_.mm(a) : a;
    weights_ = r.t().contiguous().view({2, h, 2 * h});
  }
  rank_ = weights_.size(2);
}

ScaledProblem::Exact ScaledProblem::exact(int64_t first, int64_t count) const {
  at::Tensor u;
  if (stored_.directions.defined()) {
    u = stored_.directions.narrow(0, first, count);
  } else {
    const auto axes = at::arange(first, first + count, stored_.layer.gate.options().dtype(at::kLong));
    u = at::one_hot(axes, stored_.layer.d_out()).to(at::kDouble);
  }
  const InteractionOperator q(stored_.layer, u, stored_.embed);
  // The exponent of the largest term s_k w_k v_kᵀ, as far as the power itself and what it multiplies stay
  // within range.
  const auto s = binary_exponent(q.scales());
  const auto terms = (s + unit_exponents_).amax(1) + 2 * std::floor(std::log2(embed_unit_));
  const auto chosen = at::maximum(terms, s.amax(1) - 900).clamp(-800, 1000);
  const auto exponents = at::where(terms.isfinite(), chosen, at::zeros_like(terms));
  return {q.times(power_of_two(-exponents)), exponents.cpu() + exponent_};
}

at::Tensor ScaledProblem::of_units(const at::Tensor& scales) const {
  const auto known = unit_exponents_.isfinite();
  const auto exponents = at::where(known, unit_exponents_, at::zeros_like(unit_exponents_));
  return scale_by_power(scales.to(at::kDouble), exponents) * known;
}

at::Tensor ScaledProblem::scaled(const at::Tensor& scales) const {
  const auto own = of_units(scales);
  return (own / row_units(own).unsqueeze(1)).to(dtype_);
}

InteractionOperator ScaledProblem::operators(const at::Tensor& scaled) const {
  BilinearLayer layer;
  layer.gate = weights_[0];
  layer.up = weights_[1];
  return {std::move(layer), scaled};
}

PackedMatrix ScaledProblem::take_stack(int64_t rows) {
  const auto stack = std::exchange(weights_, at::Tensor()).view({2 * hidden(), rank_});
  return rows > 0 ? PackedMatrix::pack(stack, rows) : PackedMatrix(stack);
}

at::Tensor ScaledProblem::units(const at::Tensor& scales) const {
  return row_units(of_units(scales)) * (embed_unit_ * embed_unit_);
}

at::Tensor ScaledProblem::lift(const at::Tensor& vectors) const {
  return basis_.defined() ? vectors.matmul(basis_.to(vectors.scalar_type()).t()) : vectors;
}

at::Tensor ScaledProblem::restrict(const at::Tensor& vectors) const {
  return basis_.defined() ? vectors.matmul(basis_.to(vectors.scalar_type())) : vectors;
}

at::Tensor ScaledProblem::null_vectors(int64_t count) const {
  const auto options = basis_.options().dtype(at::kDouble);
  const auto noise = at::randn({d_, count}, make_generator(at::kCPU, derive_seed(0, "null vectors")),
                               at::dtype(at::kDouble));
  const auto known = basis_.to(at::kDouble);
  const auto all = std::get<0>(at::linalg_qr(at::cat({known, noise.to(options)}, 1)));
  return all.narrow(1, rank(), count).t();
}

}  // namespace bilens
