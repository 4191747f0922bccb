#pragma once

#include <string>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/input_moments.h"
#include "bilens/records/weighted_factors.h"

namespace bilens {

/// The inputs that weight a layer's spectra.
struct InputWeighting {
  InputMoments moments;
  CovarianceRoot root;
  bool fixed_length = false;  // whether ‖x‖ is the same for all of them, as behind a norm
};

/// c of each direction with which the form xᵀ(Q + cI)x + l·x has the least variance under a Gaussian of these
/// moments: −(tr(QΣ²) + 2μᵀQΣμ + μᵀΣl)/(tr Σ² + 2μᵀΣμ), linear in u: [n] float64.
/// @param layer float64 @param directions U [n, m]; undefined: the output axes
at::Tensor least_variance_shifts(const BilinearLayer& layer, const at::Tensor& directions,
                                 const InputMoments& moments);

/// The eigenpairs κ, w of S = Σ^½Q_cΣ^½ of every direction, Q_c = Q + cI (c = 0 unless inputs have a fixed
/// length), and what follows from them: over x = μ + ξ the form is
///   centre + slope·ξ + Σ κ((r·ξ)² − 1),   r = Σ^−½w,
/// up to what is cut. With Σ = AAᵀ, S is the interaction matrix of the layer behind the input map A, so that
/// solvers, probe and certificate are those of solve_eigen. `data`, `measured` and the names of the inputs
/// are left to the caller.
/// @param problem over the space of the inputs @param eigen k is clipped to the rank of Σ
/// @throws as solve_eigen
WeightedFactors weigh_spectra(const EigenProblem& problem, const InputWeighting& inputs, at::Device device,
                              const EigenConfig& eigen);

/// In one line, with what was measured, once that is there.
std::string weighted_in_words(const WeightedFactors& found);

}  // namespace bilens
