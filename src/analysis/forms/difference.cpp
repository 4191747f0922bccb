#include "bilens/analysis/forms/difference.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bilens/core/error.h"
#include "normalization.h"

namespace bilens {

namespace {

/// Hidden units alone. Biases may be undefined.
BilinearLayer make_units(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& down,
                         const at::Tensor& gate_bias, const at::Tensor& up_bias) {
  BilinearLayer units;
  units.gate = gate;
  units.up = up;
  units.down = down;
  units.gate_bias = gate_bias;
  units.up_bias = up_bias;
  return units;
}

/// The hidden units of a layer, an identity P written out, and zeros for biases that only the other layer
/// has.
BilinearLayer units_of(const BilinearLayer& layer, const BilinearLayer& other) {
  const auto options = layer.gate.options();
  const auto bias = [&](const at::Tensor& own, const at::Tensor& others) {
    return own.defined() || !others.defined() ? own : at::zeros({layer.d_hidden()}, options);
  };
  return make_units(layer.gate, layer.up,
                    layer.down.defined() ? layer.down : at::eye(layer.d_hidden(), options),
                    bias(layer.gate_bias, other.gate_bias), bias(layer.up_bias, other.up_bias));
}

/// The units that `take` makes of each weight and bias, which lie along the given dimension.
template <class Take>
BilinearLayer each_unit(const BilinearLayer& units, const Take& take) {
  const auto taken = [&](const at::Tensor& rows) { return rows.defined() ? take(rows, 0) : rows; };
  return make_units(taken(units.gate), taken(units.up), take(units.down, 1), taken(units.gate_bias),
                    taken(units.up_bias));
}

BilinearLayer narrow_units(const BilinearLayer& units, int64_t first, int64_t count) {
  return each_unit(units,
                   [&](const at::Tensor& rows, int64_t dim) { return rows.narrow(dim, first, count); });
}

/// Without the units that put out zero whatever they read.
BilinearLayer nonzero_units(const BilinearLayer& units) {
  const auto reads = [](const at::Tensor& rows, const at::Tensor& bias) {
    const auto any = rows.ne(0).any(1);
    return bias.defined() ? any.logical_or(bias.ne(0)) : any;
  };
  const auto counts = reads(units.gate, units.gate_bias)
                          .logical_and(reads(units.up, units.up_bias))
                          .logical_and(units.down.ne(0).any(0));
  const auto kept = counts.nonzero().squeeze(1);
  if (kept.numel() == units.d_hidden()) return units;
  return each_unit(units, [&](const at::Tensor& rows, int64_t dim) { return rows.index_select(dim, kept); });
}

BilinearLayer negative(BilinearLayer units) {
  units.down = -units.down;
  return units;
}

/// a − b unit by unit: ΔW ⊙ V_b and W_a ⊙ ΔV through P_b, W_a ⊙ V_a through ΔP.
std::vector<BilinearLayer> telescope(const BilinearLayer& a, const BilinearLayer& b) {
  const auto change = [](const at::Tensor& x, const at::Tensor& y) { return x.defined() ? x - y : x; };
  return {make_units(a.gate - b.gate, b.up, b.down, change(a.gate_bias, b.gate_bias), b.up_bias),
          make_units(a.gate, a.up - b.up, b.down, a.gate_bias, change(a.up_bias, b.up_bias)),
          make_units(a.gate, a.up, a.down - b.down, a.gate_bias, a.up_bias)};
}

/// log₂ Σ_k ‖w_k‖‖v_k‖‖p_k‖ over all terms; −∞ for zeros. The products themselves may be out of range.
double log_size(const std::vector<BilinearLayer>& terms) {
  std::vector<double> logs;
  for (const auto& units : terms) {
    if (units.d_hidden() == 0) continue;
    double unit = 0;
    const auto norm = [&](const at::Tensor& rows, int64_t dim) {
      double largest = 1;
      const auto scaled = scale_to_one(rows, at::kDouble, largest);
      unit += std::log2(largest);
      return scaled.norm(2, {dim});
    };
    const auto sizes = norm(units.gate, 1) * norm(units.up, 1) * norm(units.down, 0);
    logs.push_back(std::log2(sizes.sum().item<double>()) + unit);
  }
  const double most = logs.empty() ? -HUGE_VAL : *std::max_element(logs.begin(), logs.end());
  if (most == -HUGE_VAL) return most;
  double sum = 0;
  for (const double log : logs) sum += std::exp2(log - most);
  return most + std::log2(sum);
}

/// The terms of a − b, written in the way in which they are smaller.
std::vector<BilinearLayer> terms_of(const BilinearLayer& a, const BilinearLayer& b) {
  const std::vector<BilinearLayer> apart = {a, negative(b)};
  const int64_t paired = std::min(a.d_hidden(), b.d_hidden());
  const auto wide = [&](const BilinearLayer& units) {
    return narrow_units(units, 0, paired).to(at::kDouble, a.gate.device());
  };
  auto telescoped = telescope(wide(a), wide(b));
  for (const auto& units : apart) {
    if (const int64_t more = units.d_hidden() - paired; more > 0)
      telescoped.push_back(narrow_units(units, paired, more));
  }
  constexpr double kEqual = 1e-12;  // sizes that differ by rounding alone
  return log_size(telescoped) < log_size(apart) - kEqual ? telescoped : apart;
}

/// One layer of all terms; one unit that is zero, where there are no others.
BilinearLayer join(const std::vector<BilinearLayer>& terms) {
  const auto all = [&](at::Tensor BilinearLayer::*field, int64_t dim) {
    std::vector<at::Tensor> rows;
    for (const auto& term : terms) rows.push_back(term.*field);
    return rows.front().defined() ? at::cat(rows, dim) : at::Tensor();
  };
  const auto sum =
      make_units(all(&BilinearLayer::gate, 0), all(&BilinearLayer::up, 0), all(&BilinearLayer::down, 1),
                 all(&BilinearLayer::gate_bias, 0), all(&BilinearLayer::up_bias, 0));
  if (sum.d_hidden() > 0) return sum;
  return each_unit(sum, [](const at::Tensor& rows, int64_t dim) {
    auto shape = rows.sizes().vec();
    shape[dim] = 1;
    return at::zeros(shape, rows.options());
  });
}

/// What a layer is made of: its parts, or its own interactions.
std::vector<BilinearLayer> parts_of(const BilinearLayer& layer, const BilinearLayer& units) {
  if (!layer.parts.empty()) return layer.parts;
  return {make_units(units.gate, units.up, units.down, {}, {})};
}

at::Tensor change_of_bias(const at::Tensor& a, const at::Tensor& b) {
  if (!b.defined()) return a;
  const auto wide = b.to(at::kDouble);
  return a.defined() ? a.to(at::kDouble) - wide : -wide;
}

void require_one_space(const BilinearLayer& a, const BilinearLayer& b) {
  const auto widths = [](const BilinearLayer& layer) {
    return std::to_string(layer.d_in()) + " to " + std::to_string(layer.d_out());
  };
  if (a.d_in() != b.d_in() || a.d_out() != b.d_out()) {
    throw Error(ExitCode::kBadInput, {"--minus", "layers with the same input and output widths",
                                      widths(a) + " and " + widths(b), ""});
  }
  if (a.residual != b.residual) {
    throw Error(ExitCode::kBadInput,
                {"--minus", "a residual in both layers or in none",
                 std::string("one in the ") + (a.residual ? "first" : "second") + " only",
                 "Their difference would keep x itself, which no training changed."});
  }
}

}  // namespace

BilinearLayer subtract(const BilinearLayer& a, const BilinearLayer& b) {
  require_one_space(a, b);
  const auto units_a = units_of(a, b), units_b = units_of(b, a);
  auto terms = terms_of(units_a, units_b);
  for (auto& term : terms) term = nonzero_units(term);
  auto difference = join(terms);
  for (const auto& term : terms) {
    if (term.d_hidden() > 0) difference.terms.push_back(term.d_hidden());
  }
  difference.parts = parts_of(a, units_a);
  const auto subtracted = parts_of(b, units_b);
  difference.parts.insert(difference.parts.end(), subtracted.begin(), subtracted.end());
  difference.down_bias = change_of_bias(a.down_bias, b.down_bias);
  return difference;
}

}  // namespace bilens
