#include "cp_start.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "bilens/analysis/factors/hosvd.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/tensor/random.h"
#include "cp_fit.h"

namespace bilens {

namespace {

constexpr int64_t kMixtures = 8;  // of the outputs, that Jennrich's planes are measured by

/// The singular vectors of a mode that are not zero but for rounding, at least one.
at::Tensor resolved(const Hosvd& mode, double floor) {
  const auto squares = mode.singular_values.square();
  const double least = std::max(1e-13 * squares[0].item<double>(), floor * floor);
  const int64_t rank = squares.gt(least).sum().item<int64_t>();
  return mode.vectors.narrow(0, 0, std::max<int64_t>(rank, 1));
}

at::Tensor unit_rows(const at::Tensor& rows) { return rows / rows.norm(2, {1}, true).clamp_min(1e-300); }

at::Tensor normal(at::IntArrayRef shape, uint64_t seed, const at::TensorOptions& options) {
  return at::randn(shape, make_generator(at::kCPU, seed), at::dtype(at::kDouble)).to(options);
}

/// Real columns spanning the eigenspaces of a real matrix, ordered by the eigenvalues' real part; of a
/// complex pair the real and the imaginary part. `gaps` are the distances of neighbours, −1 inside a complex
/// pair.
struct Eigencolumns {
  at::Tensor columns;  // [d, d]
  std::vector<double> gaps;
};

Eigencolumns eigencolumns(const at::Tensor& matrix) {
  const auto [values, vectors] = at::linalg_eig(matrix);
  const auto order = at::real(values).argsort(/*stable=*/true, 0, /*descending=*/false);
  const auto sorted = values.index_select(0, order);
  const auto columns = vectors.index_select(1, order);
  const auto real = at::real(sorted).contiguous(), imaginary = at::imag(sorted).contiguous();
  const double* re = real.const_data_ptr<double>();
  const double* im = imaginary.const_data_ptr<double>();
  Eigencolumns made{at::real(columns).clone(), {}};
  for (int64_t i = 0; i + 1 < real.numel(); ++i) {
    const bool conjugate = im[i] != 0 && im[i] == -im[i + 1];
    made.gaps.push_back(conjugate ? -1.0 : (re[i + 1] - re[i]) / (1 + std::abs(re[i])));
    if (conjugate) made.columns.select(1, i + 1).copy_(at::imag(columns.select(1, i)));
  }
  return made;
}

/// The `pairs` nearest neighbours that do not overlap as groups (first, 2), all others as (first, 1).
std::vector<std::pair<int64_t, int64_t>> group(const std::vector<double>& gaps, int64_t pairs) {
  std::vector<int64_t> nearest(gaps.size());
  std::iota(nearest.begin(), nearest.end(), int64_t{0});
  std::stable_sort(nearest.begin(), nearest.end(), [&](int64_t i, int64_t j) { return gaps[i] < gaps[j]; });
  std::vector<int64_t> size(gaps.size() + 1, 1);
  for (const int64_t i : nearest) {
    if (pairs == 0) break;
    if (size[i] != 1 || size[i + 1] != 1) continue;
    size[i] = 2;
    size[i + 1] = 0;
    --pairs;
  }
  std::vector<std::pair<int64_t, int64_t>> groups;
  for (size_t i = 0; i < size.size(); ++i)
    if (size[i] > 0) groups.emplace_back(static_cast<int64_t>(i), size[i]);
  return groups;
}

/// l, r [2, 2] with N ≈ ± sym(l rᵀ) for a symmetric 2×2 matrix: λ₊e₊e₊ᵀ − |λ₋|e₋e₋ᵀ factors into
/// (√λ₊e₊ + √|λ₋|e₋) and (√λ₊e₊ − √|λ₋|e₋).
at::Tensor split(const at::Tensor& plane) {
  const auto [values, vectors] = at::linalg_eigh(plane);
  const auto scaled = vectors * values.abs().sqrt();
  return at::stack({scaled.select(1, 1) + scaled.select(1, 0), scaled.select(1, 1) - scaled.select(1, 0)});
}

}  // namespace

CompressedLayer compress(const BilinearLayer& layer, int64_t terms, double floor) {
  CompressedLayer made;
  HosvdConfig inputs, outputs;
  inputs.count = 2 * terms;
  outputs.count = terms;
  made.inputs = resolved(input_hosvd({layer, {}, {}}, inputs), floor);
  made.outputs = resolved(output_hosvd({layer, {}, {}}, outputs), floor);
  made.layer.gate = layer.gate.mm(made.inputs.t());
  made.layer.up = layer.up.mm(made.inputs.t());
  made.layer.down = made.outputs.mm(layer.down);
  return made;
}

CpTerms expand(const CompressedLayer& compressed, const CpTerms& terms) {
  return {terms.left.mm(compressed.inputs), terms.right.mm(compressed.inputs),
          terms.output.mm(compressed.outputs)};
}

CpTerms jennrich(const BilinearLayer& compressed, int64_t terms, uint64_t seed) {
  const int64_t d = compressed.d_in();
  const auto options = compressed.gate.options();
  const auto mixtures = normal({kMixtures, compressed.d_out()}, seed, options);
  // Small and not symmetric: solved on the CPU.
  const auto slices = InteractionOperator(compressed, mixtures).form(0, kMixtures, at::kDouble).cpu();
  // B_uB_v⁻¹; a pseudo-inverse, for B_v of a few outputs may be singular.
  const auto found = eigencolumns(slices[0].mm(at::linalg_pinv(slices[1], 1e-12, /*hermitian=*/true)));
  const auto groups = group(found.gaps, std::clamp<int64_t>(d - terms, 0, d / 2));
  const auto dual = at::linalg_pinv(found.columns, 1e-12);
  const auto cores = dual.matmul(slices).matmul(dual.t());  // C⁻¹B C⁻ᵀ, block diagonal
  std::vector<at::Tensor> left, right;
  for (const auto& [first, size] : groups) {
    const auto columns = found.columns.narrow(1, first, size).t();
    if (size == 1) {
      left.push_back(columns);
      right.push_back(columns);
      continue;
    }
    // One matrix up to a factor in all mixtures: the leading right singular vector.
    const auto blocks = cores.narrow(1, first, 2).narrow(2, first, 2).reshape({kMixtures, 4});
    const auto common = std::get<2>(at::linalg_svd(blocks, false))[0].view({2, 2});
    const auto factors = split((common + common.t()) * 0.5).mm(columns);
    left.push_back(factors.narrow(0, 0, 1));
    right.push_back(factors.narrow(0, 1, 1));
  }
  const auto missing = std::max<int64_t>(terms - static_cast<int64_t>(groups.size()), 0);
  const auto filler = random_terms(compressed, std::max<int64_t>(missing, 1), seed);
  const auto join = [&](std::vector<at::Tensor>& rows, const at::Tensor& more) {
    rows.push_back(more.narrow(0, 0, missing).cpu());
    return unit_rows(at::cat(rows).narrow(0, 0, terms)).to(options);
  };
  CpTerms made{join(left, filler.left), join(right, filler.right), {}};
  made.output = best_outputs(compressed, made);
  return made;
}

CpTerms random_terms(const BilinearLayer& layer, int64_t terms, uint64_t seed) {
  const auto options = layer.gate.options();
  const auto both = normal({2, terms, layer.d_in()}, derive_seed(seed, "terms"), options);
  CpTerms made{unit_rows(both[0]), unit_rows(both[1]), {}};
  made.output = best_outputs(layer, made);
  return made;
}

}  // namespace bilens
