#pragma once

#include "bilens/analysis/forms/bilinear_layer.h"

namespace bilens {

/// A layer with output directions, seen as n quadratic forms xᵀQ_u x + l_u·x over one input space; float64.
struct QuadraticForms {
  BilinearLayer layer;    // over the input; its biases are in `linear`
  at::Tensor directions;  // [n, m]
  at::Tensor linear;      // [n, d]
};

/// Divides weights by powers of two, so that float64 holds the squares of weights of 1e±200 too. Each output
/// then has another factor, on which no likeness depends. @param layer float64, without residual
BilinearLayer without_sizes(BilinearLayer layer);

/// A Gaussian that stands for the data: mean μ [d], a square root of the covariance Σ^½ [d, d] (symmetric);
/// float64.
struct InputDistribution {
  at::Tensor mean, root;
};

/// μ and Σ^½ of samples [N, d].
InputDistribution fit_gaussian(const at::Tensor& samples);

/// ⟨Q_u, Q'_v⟩_F for all pairs from the Gram matrix of interaction, without forming Q: [n, n'].
at::Tensor weight_products(const QuadraticForms& a, const QuadraticForms& b);

/// ‖Q_u‖²_F: [n].
at::Tensor weight_squares(const QuadraticForms& forms);

/// cov(f_u(x), f'_v(x)) for x ~ N(μ, Σ), for all pairs:
/// 2 tr(QΣQ'Σ) + (2Qμ + l)ᵀ Σ (2Q'μ + l')   [n, n'].
at::Tensor data_covariances(const QuadraticForms& a, const QuadraticForms& b, const InputDistribution& x);

/// var f_u(x) of the same: [n].
at::Tensor data_variances(const QuadraticForms& forms, const InputDistribution& x);

/// Cosines out of the products of a with b [n, n'] and the squared norms of a [n] and b [n']: [n, n'].
at::Tensor normalize_products(const at::Tensor& products, const at::Tensor& squares_a,
                              const at::Tensor& squares_b);

}  // namespace bilens
