#include "bilens/analysis/forms/interaction.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "add_transpose.h"
#include "eigen/solver_limits.h"

namespace bilens {

InteractionOperator::InteractionOperator(BilinearLayer layer, const at::Tensor& directions, at::Tensor embed)
    : layer_(std::move(layer)),
      embed_(std::move(embed)),
      directions_(directions.defined() ? directions : at::eye(layer_.d_out(), layer_.gate.options())),
      scales_(!layer_.down.defined() ? directions_
              : directions.defined() ? directions_.mm(layer_.down.to(directions_.dtype()))
                                     : layer_.down) {}

InteractionOperator InteractionOperator::select(const at::Tensor& index) const {
  InteractionOperator part = *this;
  part.directions_ = directions_.index_select(0, index);
  part.scales_ = scales_.index_select(0, index);
  return part;
}

InteractionOperator InteractionOperator::times(const at::Tensor& factors) const {
  InteractionOperator scaled = *this;
  scaled.directions_ = directions_ * factors.unsqueeze(1);
  scaled.scales_ = scales_ * factors.unsqueeze(1);
  return scaled;
}

int64_t InteractionOperator::tile_rows(at::ScalarType dtype) const {
  const int64_t h = layer_.d_hidden();
  const auto row = 2 * layer_.d_in() * static_cast<int64_t>(c10::elementSize(dtype));
  return std::clamp<int64_t>(kTileBytes / row, 1, h);
}

/// Rows first … of W, then the same of V: [2·count, d].
at::Tensor InteractionOperator::rows(int64_t first, int64_t count, at::ScalarType dtype) const {
  return at::cat(
      {layer_.gate.narrow(0, first, count).to(dtype), layer_.up.narrow(0, first, count).to(dtype)});
}

at::Tensor apply_interaction(const PackedMatrix& stack, const at::Tensor& scales, const at::Tensor& x) {
  const int64_t n = x.size(0), c = x.size(1), h = scales.size(1);
  const auto half = (scales.to(x.scalar_type()) * 0.5).unsqueeze(1);                      // [n, 1, h]
  const auto hidden = stack.times_transposed(x.reshape({n * c, -1})).view({n, c, 2, h});  // WX, VX
  const auto crossed = at::empty_like(hidden);  // s/2 ⊙ VX, s/2 ⊙ WX
  auto of_gate = crossed.select(2, 0), of_up = crossed.select(2, 1);
  at::mul_out(of_gate, hidden.select(2, 1), half);
  at::mul_out(of_up, hidden.select(2, 0), half);
  return stack.times(crossed.view({n * c, 2 * h})).view({n, c, -1});
}

at::Tensor InteractionOperator::apply(const at::Tensor& x) const {
  const int64_t h = layer_.d_hidden();
  const auto dtype = x.scalar_type();
  const auto embed = embed_.defined() ? embed_.to(dtype) : embed_;
  const auto inputs = embed.defined() ? x.matmul(embed.t()) : x;
  at::Tensor sum;
  const int64_t tile = tile_rows(dtype);
  for (int64_t first = 0; first < h; first += tile) {
    const int64_t count = std::min(tile, h - first);
    const PackedMatrix weights(rows(first, count, dtype));
    const auto part = apply_interaction(weights, scales_.narrow(1, first, count), inputs);
    sum = sum.defined() ? sum.add_(part) : part;
  }
  return (embed.defined() ? sum.matmul(embed) : sum).contiguous();
}

at::Tensor InteractionOperator::form(int64_t first, int64_t count, at::ScalarType dtype) const {
  const auto half = scales_.narrow(0, first, count).to(dtype).unsqueeze(2) * 0.5;
  const auto embed = embed_.defined() ? embed_.to(dtype) : embed_;
  const auto over_input = [&](const at::Tensor& weight) {
    return embed.defined() ? weight.to(dtype).mm(embed) : weight.to(dtype);
  };
  const auto q = at::matmul(over_input(layer_.gate).t(), half * over_input(layer_.up));  // ½Wᵀ diag(s) V
  add_transpose(q);
  return q;
}

at::Tensor InteractionOperator::trace() const { return scales_.to(at::kDouble).mv(unit_traces()); }

at::Tensor InteractionOperator::unit_traces() const {
  const int64_t h = layer_.d_hidden(), tile = tile_rows(at::kDouble);
  auto products = at::empty({h}, scales_.options().dtype(at::kDouble));
  const auto embed = embed_.defined() ? embed_.to(at::kDouble) : embed_;
  for (int64_t first = 0; first < h; first += tile) {
    const int64_t count = std::min(tile, h - first);
    const auto over_input = [&](const at::Tensor& weight) {
      const auto part = weight.narrow(0, first, count).to(at::kDouble);
      return embed.defined() ? part.mm(embed) : part;
    };
    products.narrow(0, first, count).copy_((over_input(layer_.gate) * over_input(layer_.up)).sum(1));
  }
  return products;
}

at::Tensor InteractionOperator::linear() const {
  auto sum = at::zeros({count(), layer_.d_in()}, layer_.gate.options());
  if (layer_.up_bias.defined()) sum = sum + (scales_ * layer_.up_bias).mm(layer_.gate);
  if (layer_.gate_bias.defined()) sum = sum + (scales_ * layer_.gate_bias).mm(layer_.up);
  if (layer_.residual) sum = sum + directions_;
  return embed_.defined() ? sum.mm(embed_) : sum;
}

at::Tensor InteractionOperator::constant() const {
  auto sum = at::zeros({count()}, layer_.gate.options());
  if (layer_.gate_bias.defined() && layer_.up_bias.defined())
    sum = sum + scales_.mv(layer_.gate_bias * layer_.up_bias);
  return layer_.down_bias.defined() ? sum + directions_.mv(layer_.down_bias) : sum;
}

}  // namespace bilens
