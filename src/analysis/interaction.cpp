#include "bilens/analysis/interaction.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "solver_limits.h"

namespace bilens {

namespace {

constexpr int64_t kColumnMultiple = 16;  // float32 numbers in a vector register of 512 bits

}  // namespace

InteractionOperator::InteractionOperator(BilinearLayer layer, const at::Tensor& directions, at::Tensor embed)
    : layer_(std::move(layer)),
      embed_(std::move(embed)),
      directions_(directions.defined() ? directions : at::eye(layer_.d_out(), layer_.gate.options())),
      scales_(!layer_.down.defined() ? directions_
              : directions.defined() ? directions_.mm(layer_.down.to(directions_.dtype()))
                                     : layer_.down) {}

InteractionOperator InteractionOperator::from_stack(const at::Tensor& stacked, const at::Tensor& scales) {
  BilinearLayer layer;
  layer.gate = stacked[0];
  layer.up = stacked[1];
  InteractionOperator made(std::move(layer), scales);
  made.stacked_ = stacked;
  return made;
}

InteractionOperator InteractionOperator::select(const at::Tensor& index) const {
  InteractionOperator part = *this;
  part.directions_ = directions_.index_select(0, index);
  part.scales_ = scales_.index_select(0, index);
  return part;
}

int64_t InteractionOperator::tile_rows(at::ScalarType dtype) const {
  const int64_t h = layer_.d_hidden();
  if (stacked_.defined() && stacked_.scalar_type() == dtype) return h;
  const auto row = 2 * layer_.d_in() * static_cast<int64_t>(c10::elementSize(dtype));
  return std::clamp<int64_t>(kTileBytes / row, 1, h);
}

/// Rows first … of W, then the same of V: [2·count, d].
at::Tensor InteractionOperator::rows(int64_t first, int64_t count, at::ScalarType dtype) const {
  if (stacked_.defined() && stacked_.scalar_type() == dtype && count == layer_.d_hidden())
    return stacked_.view({2 * count, -1});
  return at::cat(
      {layer_.gate.narrow(0, first, count).to(dtype), layer_.up.narrow(0, first, count).to(dtype)});
}

at::Tensor InteractionOperator::apply(const at::Tensor& x) const {
  // Vectors stand in columns from here on, padded to a whole number of the product's registers: [W; V]X runs
  // half as fast again as X[W; V]ᵀ when X is narrow, and with 64 columns nearly twice as fast as with 63.
  const int64_t n = x.size(0), c = x.size(1), h = layer_.d_hidden(), used = n * c;
  const int64_t width = (used + kColumnMultiple - 1) / kColumnMultiple * kColumnMultiple;
  const auto dtype = x.scalar_type();
  const auto half = (scales_.to(dtype) * 0.5).t().contiguous().unsqueeze(2);  // [h, n, 1]
  auto inputs = at::zeros({dimension(), width}, x.options());
  inputs.narrow(1, 0, used).copy_(x.reshape({used, dimension()}).t());
  const auto embed = embed_.defined() ? embed_.to(dtype) : embed_;
  if (embed.defined()) inputs = embed.mm(inputs);
  at::Tensor sum;
  const int64_t tile = tile_rows(dtype);
  for (int64_t first = 0; first < h; first += tile) {
    const int64_t count = std::min(tile, h - first);
    const auto weights = rows(first, count, dtype);
    const auto hidden = weights.mm(inputs);       // WX, VX
    const auto crossed = at::zeros_like(hidden);  // s/2 ⊙ VX, s/2 ⊙ WX
    const auto by_vector = [&](const at::Tensor& both, int64_t which) {
      return both.narrow(0, which * count, count).narrow(1, 0, used).unflatten(1, {n, c});
    };
    const auto s = half.narrow(0, first, count);
    auto of_gate = by_vector(crossed, 0), of_up = by_vector(crossed, 1);
    at::mul_out(of_gate, by_vector(hidden, 1), s);
    at::mul_out(of_up, by_vector(hidden, 0), s);
    sum = sum.defined() ? sum.addmm_(weights.t(), crossed) : weights.t().mm(crossed);
  }
  if (embed.defined()) sum = embed.t().mm(sum);
  return sum.narrow(1, 0, used).t().contiguous().view({n, c, dimension()});
}

at::Tensor InteractionOperator::form(int64_t first, int64_t count, at::ScalarType dtype) const {
  const auto s = scales_.narrow(0, first, count).to(dtype).unsqueeze(2);
  const auto embed = embed_.defined() ? embed_.to(dtype) : embed_;
  const auto over_input = [&](const at::Tensor& weight) {
    return embed.defined() ? weight.to(dtype).mm(embed) : weight.to(dtype);
  };
  const auto one_side = at::matmul(over_input(layer_.gate).t(), s * over_input(layer_.up));  // Wᵀ diag(s) V
  return (one_side + one_side.mT()).mul_(0.5);
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
