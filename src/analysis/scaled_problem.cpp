#include "scaled_problem.h"

#include <ATen/ATen.h>

#include <utility>

#include "bilens/tensor/random.h"
#include "normalization.h"

namespace bilens {

namespace {

at::Tensor row_units(const at::Tensor& scales) {
  const auto largest = scales.abs().amax(1);
  return at::where(largest > 0, largest, at::ones_like(largest));
}

}  // namespace

ScaledProblem::ScaledProblem(const EigenProblem& stored, at::Device device, at::ScalarType dtype)
    : stored_(stored.on(device)), d_(stored.dimension()), n_(stored.count()), dtype_(dtype) {
  if (stored_.directions.defined()) stored_.directions = stored_.directions.to(at::kDouble);
  const auto& layer = stored_.layer;
  const int64_t h = layer.d_hidden();
  weights_ = at::empty({2, h, layer.d_in()}, layer.gate.options().dtype(dtype));
  weights_[0].copy_(scale_to_one(layer.gate, dtype, unit_));
  weights_[1].copy_(scale_to_one(layer.up, dtype, unit_));
  if (stored_.embed.defined()) {
    double embed_unit = 1;
    const auto [a, r] = at::linalg_qr(scale_to_one(stored_.embed, dtype, embed_unit).t());
    unit_ *= embed_unit * embed_unit;
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

InteractionOperator ScaledProblem::exact(int64_t first, int64_t count) const {
  if (stored_.directions.defined())
    return {stored_.layer, stored_.directions.narrow(0, first, count), stored_.embed};
  const auto axes = at::arange(first, first + count, stored_.layer.gate.options().dtype(at::kLong));
  return {stored_.layer, at::one_hot(axes, stored_.layer.d_out()).to(at::kDouble), stored_.embed};
}

at::Tensor ScaledProblem::scaled(const at::Tensor& scales) const {
  return (scales / row_units(scales).unsqueeze(1)).to(dtype_);
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

at::Tensor ScaledProblem::units(const at::Tensor& scales) const { return row_units(scales) * unit_; }

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
