#include "bilens/analysis/factors/hosvd.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bilens/analysis/forms/rounding_floor.h"
#include "bilens/core/error.h"
#include "bilens/core/text.h"
#include "eigen/dense_eigen.h"
#include "factors/factor_words.h"
#include "forms/gram_tiles.h"
#include "forms/normalization.h"

namespace bilens {

namespace {

/// What is squared, and squared again: singular values are roots of those.
void require_squares(const EigenProblem& problem) {
  constexpr double kMost = 500;  // in powers of two
  double whole = 0;
  const auto require = [](double exponent) {
    if (std::abs(exponent) <= kMost) return;
    throw Error(ExitCode::kBadInput,
                {"layer", "weights and interactions whose squares float64 holds",
                 format("a size of 2^%.0f", exponent),
                 std::string(exponent < 0 ? "Multiply" : "Divide") + " the weights by a power of two."});
  };
  const auto add = [&](const at::Tensor& tensor, int times) {
    if (!tensor.defined()) return;
    const double exponent = binary_exponent(tensor.abs().max()).item<double>();
    if (!std::isfinite(exponent)) return;  // zeros, or what is refused elsewhere
    require(exponent);
    whole += times * exponent;
  };
  const auto& layer = problem.layer;
  add(layer.gate, 1), add(layer.up, 1), add(layer.down, 1), add(problem.directions, 1);
  add(problem.embed, 2);
  require(whole);
}

/// Cumulative shares of the σ² above the floor.
at::Tensor energy_shares(const at::Tensor& squares, double squared_floor) {
  const auto counted = at::where(squares > squared_floor, squares, at::zeros_like(squares));
  const double total = counted.sum().item<double>();
  if (total > 0) return counted.cumsum(0) / total;
  return at::full_like(squares, squared_floor > 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0);
}

/// Singular vectors and values from the Gram matrix of the rows that they belong to.
/// @param floor of a difference, `gram_floor`; else 0
Hosvd from_gram(const at::Tensor& gram, const HosvdConfig& config, double floor) {
  // Scaled to largest entry 1: σ² of weights of 1e±30 is nothing that an eigensolver's checks are made for.
  const double largest = gram.abs().max().item<double>(), unit = largest > 0 ? largest : 1.0;
  if (!std::isfinite(largest)) {
    throw Error(ExitCode::kBadInput, {"layer", "squares of interactions that float64 can hold", "overflow",
                                      "Scale the weights down."});
  }
  const auto [ascending, columns] = checked_eigh((gram / unit).unsqueeze(0));
  const auto squares = ascending[0].flip(0).clamp_min(0);
  const auto energy = energy_shares(squares, floor * floor / unit);
  const int64_t enough =
      config.energy < 1 ? energy.lt(config.energy).sum().item<int64_t>() + 1 : squares.numel();
  const int64_t k = std::clamp<int64_t>(std::min(enough, config.count), 1, squares.numel());
  Hosvd hosvd;
  const auto vectors = columns[0].flip(1).narrow(1, 0, k).t();
  hosvd.vectors = orient(vectors).contiguous();
  hosvd.singular_values = squares.narrow(0, 0, k).sqrt() * std::sqrt(unit);
  hosvd.energy = energy.narrow(0, 0, k).clone();
  hosvd.squared_norm = squares.sum().item<double>() * unit;
  hosvd.discarded = squares.narrow(0, k, squares.numel() - k).sum().item<double>() * unit;
  const double rounding = std::sqrt(std::numeric_limits<double>::epsilon());
  hosvd.floor = std::max(rounding * hosvd.singular_values[0].item<double>(), floor);
  hosvd.resolved = hosvd.singular_values.gt(hosvd.floor).sum().item<int64_t>();
  return hosvd;
}

/// Σ_u Q_u² = ¼ X̃ᵀ(M̂ ⊙ XXᵀ)X̃ with M = SᵀS, X = [W; V], X̃ = [V; W] and M̂ = [[M, M], [M, M]]; half of its tiles
/// and their transposes.
at::Tensor sum_of_squares(const InteractionOperator& q, int64_t memory_limit) {
  const auto& layer = q.layer();
  auto sum = at::zeros({layer.d_in(), layer.d_in()}, layer.gate.options().dtype(at::kDouble));
  at::Tensor s, y, weighted;  // S and (M̂ ⊙ XXᵀ)X̃ of the columns; M̂ ⊙ XXᵀ of the tile, its rows of V first
  for_each_tile(q, q, true, memory_limit, [&](GramTile& tile) {
    if (tile.row == 0) {
      s = scales_of(q, tile.column, tile.columns);
      y = at::zeros_like(tile.column_units);
    }
    const auto m = scales_of(q, tile.row, tile.rows).t().mm(s).unsqueeze(1);  // [rows, 1, columns]
    if (!weighted.defined() || weighted.sizes() != tile.products.sizes())
      weighted = at::empty_like(tile.products);
    for (const int64_t side : {0, 1}) {
      auto to = weighted.narrow(0, (1 - side) * tile.rows, tile.rows).view({tile.rows, 2, tile.columns});
      at::mul_out(to, tile.products.narrow(0, side * tile.rows, tile.rows).view_as(to), m);
    }
    y.addmm_(weighted.t(), tile.row_units, 1, tile.weight);
    if (!tile.ends_column) return;
    for (const int64_t side : {0, 1}) {
      sum.addmm_(tile.column_units.narrow(0, (1 - side) * tile.columns, tile.columns).t(),
                 y.narrow(0, side * tile.columns, tile.columns), 1, 0.25);
    }
  });
  if (q.embed().defined()) {
    const auto embed = q.embed().to(at::kDouble);
    sum = embed.t().mm(sum).mm(embed);
  }
  return sum + sum.t();
}

}  // namespace

const FieldTable<HosvdConfig>& HosvdConfig::fields() {
  static const FieldTable<HosvdConfig> table =
      FieldTable<HosvdConfig>("Settings of the method \"hosvd\".")
          .number("energy", &HosvdConfig::energy,
                  "Keeps the fewest factors of a mode that reach this share of the energy, at most k; 1: k.",
                  {0.0, 1.0, true});
  return table;
}

Hosvd output_hosvd(const EigenProblem& problem, const HosvdConfig& config) {
  require_squares(problem);
  return from_gram(frobenius_products(problem, config.memory_limit), config,
                   gram_floor(problem, config.memory_limit));
}

Hosvd input_hosvd(const EigenProblem& problem, const HosvdConfig& config) {
  require_squares(problem);
  return from_gram(sum_of_squares(checked_operator(problem), config.memory_limit), config,
                   gram_floor(problem, config.memory_limit));
}

namespace {

HosvdMode to_mode(const Hosvd& hosvd, at::ScalarType dtype) {
  HosvdMode mode;
  mode.kept = hosvd.vectors.size(0);
  mode.resolved = hosvd.resolved;
  mode.energy_kept = hosvd.energy[-1].item<double>();
  mode.discarded = hosvd.discarded;
  mode.floor = hosvd.floor;
  mode.vectors = hosvd.vectors.to(at::kCPU, dtype);
  mode.singular_values = hosvd.singular_values.cpu();
  mode.energy = hosvd.energy.cpu();
  return mode;
}

}  // namespace

Factors to_factors(const Hosvd& output, const Hosvd& input, at::ScalarType dtype) {
  HosvdFactors found;
  found.squared_norm = output.squared_norm;
  found.output = to_mode(output, dtype);
  found.input = to_mode(input, dtype);
  const auto in_words = [](const char* name, const HosvdMode& mode) {
    const int64_t noise = mode.kept - mode.resolved;
    return std::to_string(mode.kept) + " " + name + " factors" +
           (noise > 0 ? " (" + std::to_string(noise) + " of them rounding)" : "") + ", " +
           in_percent(mode.energy_kept) + " of the energy";
  };
  std::string words = in_words("output", found.output) + "; " + in_words("input", found.input);
  const bool unchanged = output.energy.isnan().any().item<bool>() && input.energy.isnan().any().item<bool>();
  if (unchanged) name_unchanged(found, words, true, std::max(output.floor, input.floor));
  return {found, words, 0};
}

}  // namespace bilens
