#include "bilens/study/comparison.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/core/text.h"
#include "bilens/study/class_forms.h"
#include "bilens/tensor/random.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

constexpr int64_t kTop = 5;  // eigenvectors a class that are matched
constexpr uint64_t kUntrainedSeed = 1;

/// The assignment of rows to columns of a square matrix with the largest sum (Kuhn–Munkres with potentials,
/// O(k³)).
/// @return the largest sum
double best_assignment(const at::Tensor& gains) {
  const auto k = gains.size(0);
  const auto cost = gains.neg().contiguous();
  const auto c = cost.accessor<double, 2>();
  std::vector<double> row_potential(k + 1, 0.0), column_potential(k + 1, 0.0);
  std::vector<int64_t> row_of(k + 1, 0), previous(k + 1, 0);
  for (int64_t row = 1; row <= k; ++row) {
    std::vector<double> slack(k + 1, std::numeric_limits<double>::infinity());
    std::vector<bool> used(k + 1, false);
    row_of[0] = row;
    int64_t column = 0;
    do {
      used[column] = true;
      double delta = std::numeric_limits<double>::infinity();
      int64_t next = 0;
      for (int64_t j = 1; j <= k; ++j) {
        if (used[j]) continue;
        const double reduced =
            c[row_of[column] - 1][j - 1] - row_potential[row_of[column]] - column_potential[j];
        if (reduced < slack[j]) slack[j] = reduced, previous[j] = column;
        if (slack[j] < delta) delta = slack[j], next = j;
      }
      for (int64_t j = 0; j <= k; ++j) {
        if (used[j])
          row_potential[row_of[j]] += delta, column_potential[j] -= delta;
        else
          slack[j] -= delta;
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = previous[column]) row_of[column] = row_of[previous[column]];
  }
  return column_potential[0];
}

/// |cosine| of the top eigenvectors of every pair of classes, matched one to one: [n, n'].
at::Tensor matched_eigenvectors(const at::Tensor& a, const at::Tensor& b) {
  auto means = at::empty({a.size(0), b.size(0)}, at::kDouble);
  const int64_t k = std::min(a.size(1), b.size(1));
  for (int64_t i = 0; i < a.size(0); ++i) {
    for (int64_t j = 0; j < b.size(0); ++j) {
      const auto cosines = a[i].narrow(0, 0, k).mm(b[j].narrow(0, 0, k).t()).abs();
      means[i][j] = best_assignment(cosines) / static_cast<double>(k);
    }
  }
  return means;
}

Likeness summarize(const at::Tensor& computed, const at::Tensor& with_untrained) {
  Likeness likeness;
  const auto cosines = computed.cpu();
  const int64_t n = cosines.size(0);
  const auto diagonal = cosines.diagonal().contiguous();
  likeness.per_class.assign(diagonal.const_data_ptr<double>(), diagonal.const_data_ptr<double>() + n);
  likeness.same_class = diagonal.mean().item<double>();
  likeness.untrained = with_untrained.diagonal().mean().item<double>();
  if (n > 1) {
    likeness.other_class = (cosines.sum() - diagonal.sum()).item<double>() / static_cast<double>(n * (n - 1));
    const auto wrong = cosines.masked_fill(at::eye(n, cosines.options()).to(at::kBool), -2.0);
    likeness.best_wrong_class = wrong.amax(1).mean().item<double>();
  }
  return likeness;
}

/// What is multiplied and squared.
void require_squares(const at::Tensor& values, const std::string& where) {
  constexpr double kMost = 1e140;
  if (!values.defined() || values.abs().le(kMost).all().item<bool>()) return;
  throw Error(ExitCode::kBadInput, {where, "values whose squares float64 holds beside those of the weights",
                                    format("some of more than %.0e times their size", kMost),
                                    "Scale them to the size of the others."});
}

at::Tensor output_correlations(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a - a.mean(0), y = b - b.mean(0);
  return normalize_products(x.t().mm(y), x.square().sum(0), y.square().sum(0));
}

at::Tensor weight_cosines(const QuadraticForms& a, const QuadraticForms& b) {
  return normalize_products(weight_products(a, b), weight_squares(a), weight_squares(b));
}

at::Tensor data_correlations(const QuadraticForms& a, const QuadraticForms& b, const InputDistribution& x) {
  return normalize_products(data_covariances(a, b, x), data_variances(a, x), data_variances(b, x));
}

BilinearLayer without_biases(BilinearLayer layer) {
  layer.gate_bias = layer.up_bias = layer.down_bias = at::Tensor();
  return layer;
}

at::Tensor top_eigenvectors(const EigenProblem& problem) {
  EigenConfig eigen;
  eigen.k = kTop;
  eigen.dtype = at::kDouble;
  eigen.energy = Energy::kOff;
  return solve_eigen(problem, problem.layer.gate.device(), eigen).eigenvectors.cpu();
}

}  // namespace

const RecordTable<Likeness>& Likeness::record() {
  using R = Likeness;
  static const auto table =
      RecordTable<R>()
          .field("same_class", &R::same_class, "Mean over classes of the likeness of a class to itself.")
          .field("other_class", &R::other_class, "Mean over pairs of different classes.")
          .field("best_wrong_class", &R::best_wrong_class,
                 "Mean over classes of the largest likeness to a wrong class.")
          .field("untrained", &R::untrained,
                 "`same_class` against a model of the same shape with fresh weights.")
          .field("per_class", &R::per_class, "Likeness of each class to itself.");
  return table;
}

const RecordTable<Comparison>& Comparison::record() {
  using R = Comparison;
  static const auto table =
      RecordTable<R>()
          .field("weights", &R::weights, "Cosine of the interaction matrices over the pixels.")
          .field("data", &R::data,
                 "Correlation of the logits for Gaussian inputs with the data's mean and covariance; null "
                 "without data.")
          .field("outputs", &R::outputs, "Correlation of the logits on real images; null without data.")
          .field("eigenvectors", &R::eigenvectors,
                 "Mean |cosine| of the top eigenvectors, matched one to one.");
  return table;
}

ComparedModel prepare_comparison(const ImageClassifier& model, const ImageSplit* split) {
  const at::NoGradGuard no_grad;
  const auto [layer, embed, head] = one_layer_weights(model);
  const auto u = head - head.mean(0, true);
  ComparedModel compared;
  compared.forms = {without_biases(fold_input(layer, embed)), u,
                    InteractionOperator(layer, u).linear().mm(embed)};
  if (split != nullptr) {
    ImageClassifier shared = model;
    const auto logits = compute_logits(shared, *split).to(at::kDouble);
    compared.logits = logits - logits.mean(1, true);
  }
  compared.eigenvectors = top_eigenvectors({layer, embed, u});
  return compared;
}

ComparedModel prepare_comparison(const BilinearLayer& stored, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  const auto layer = without_sizes(stored.to(at::kDouble, at::kCPU));
  const auto u = at::eye(layer.d_out(), at::kDouble);
  ComparedModel compared;
  compared.forms = {without_biases(layer), u, InteractionOperator(layer, u).linear()};
  require_squares(compared.forms.linear, "biases");
  if (x.defined()) compared.logits = layer.forward(x);
  require_squares(compared.logits, "data");
  compared.eigenvectors = top_eigenvectors({layer, at::Tensor(), u});
  return compared;
}

ImageClassifier untrained_like(const ImageClassifier& model) {
  const SeedScope seeded(kUntrainedSeed);
  ImageClassifier fresh(model->config);
  fresh->to(model->embed->weight.device());
  return fresh;
}

/// As torch::nn::Linear draws its weights and biases.
BilinearLayer untrained_like(const BilinearLayer& layer) {
  const auto generator = make_generator(at::kCPU, kUntrainedSeed);
  const auto draw = [&](const at::Tensor& like, int64_t inputs) {
    if (!like.defined()) return at::Tensor();
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    return at::empty(like.sizes(), at::kDouble).uniform_(-bound, bound, generator);
  };
  const int64_t d = layer.d_in(), h = layer.d_hidden();
  return {draw(layer.gate, d),      draw(layer.up, d),      draw(layer.down, h),
          draw(layer.gate_bias, d), draw(layer.up_bias, d), draw(layer.down_bias, h)};
}

Comparison compare(const ComparedModel& a, const ComparedModel& b, const ComparedModel& untrained,
                   const InputDistribution* x) {
  Comparison comparison;
  comparison.weights = summarize(weight_cosines(a.forms, b.forms), weight_cosines(a.forms, untrained.forms));
  if (x != nullptr) {
    comparison.data =
        summarize(data_correlations(a.forms, b.forms, *x), data_correlations(a.forms, untrained.forms, *x));
  }
  if (a.logits.defined() && b.logits.defined() && untrained.logits.defined()) {
    comparison.outputs =
        summarize(output_correlations(a.logits, b.logits), output_correlations(a.logits, untrained.logits));
  }
  comparison.eigenvectors = summarize(matched_eigenvectors(a.eigenvectors, b.eigenvectors),
                                      matched_eigenvectors(a.eigenvectors, untrained.eigenvectors));
  return comparison;
}

}  // namespace bilens
