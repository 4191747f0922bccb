#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bilens/study/bounded_perturbation.h"
#include "bilens/study/gradient_attack.h"
#include "bilens/study/layer_on_images.h"
#include "bilens/tensor/random.h"
#include "catch.h"

namespace bilens::attack_test {
namespace {

/// A random classifier of images of few pixels.
ImageClassifier few_pixels(int64_t pixels, bool bias, bool residual, uint64_t seed) {
  ClassifierConfig config;
  config.d_input = pixels;
  config.d_model = 5;
  config.d_hidden = 5;
  config.d_output = 3;
  config.bias = bias;
  config.residual = residual;
  config.image_shape = {1, pixels};
  const SeedScope seeded(seed);
  const at::NoGradGuard no_grad;
  ImageClassifier model(config);
  for (auto& parameter : model->parameters()) parameter.mul_(3);
  return model;
}

/// A classifier of images of two pixels, of which every change can be looked at.
ImageClassifier two_pixels(bool bias, bool residual, uint64_t seed) {
  return few_pixels(2, bias, residual, seed);
}

/// The distance of the nearest of many points in which another class is the likelier one; ∞ without one.
/// @param points [n, 2], changes
double nearest(ImageClassifier& exact, const at::Tensor& x, int64_t prediction, const at::Tensor& points) {
  const auto changed = class_changed(exact, x + points, at::full({points.size(0)}, prediction, at::kLong));
  const auto lengths = points.index_select(0, changed.nonzero().squeeze(1)).norm(2, 1);
  return lengths.numel() > 0 ? lengths.min().item<double>() : INFINITY;
}

/// A grid of changes up to `most` in each direction, `most`/400 apart.
at::Tensor grid(double most) {
  const auto line = at::linspace(-most, most, 801, at::kDouble);
  return at::stack(
      {line.unsqueeze(0).expand({801, 801}).flatten(), line.unsqueeze(1).expand({801, 801}).flatten()}, 1);
}

struct Case {
  bool bias, residual;
  uint64_t seed;
};
const std::vector<Case> kCases = {{false, false, 1}, {true, false, 2}, {true, true, 3}, {false, true, 4}};

TEST_CASE("no point nearer than the bound has another class, and the step found reaches one") {
  for (const auto& of : kCases) {
    auto model = two_pixels(of.bias, of.residual, of.seed);
    const ClassForms forms(model);
    const auto x = at::rand({12, 2}, make_generator(at::kCPU, of.seed), at::kDouble);
    const auto found = smallest_perturbations(model, forms, x);
    auto exact = float64_copy(model);
    INFO("seed " << of.seed);
    for (int64_t i = 0; i < x.size(0); ++i) {
      const double lower = found.lower[i].item<double>(), upper = found.upper[i].item<double>();
      const double seen = nearest(exact, x.narrow(0, i, 1), found.prediction[i].item<int64_t>(), grid(2.0));
      CHECK(lower <= upper);
      CHECK(seen >= lower);
      if (upper < 2.0) CHECK(seen - upper < 2.0 / 400 * std::sqrt(2.0));  // the grid's spacing
      if (std::isinf(upper)) continue;
      CHECK(upper - lower < 1e-8 * (1 + upper));
      CHECK(class_changed(exact, x.narrow(0, i, 1) + found.steps.narrow(0, i, 1),
                          found.prediction.narrow(0, i, 1))
                .item<bool>());
    }
  }
}

TEST_CASE("within the pixels' range no point nearer than the bound has another class") {
  int64_t met = 0;
  for (const auto& of : kCases) {
    auto model = two_pixels(of.bias, of.residual, of.seed);
    const ClassForms forms(model);
    const auto x = at::rand({12, 2}, make_generator(at::kCPU, of.seed), at::kDouble);
    const auto free = smallest_perturbations(model, forms, x);
    const auto found = bounded_perturbations(model, forms, x, {0, 1}, free);
    auto exact = float64_copy(model);
    INFO("seed " << of.seed);
    for (int64_t i = 0; i < x.size(0); ++i) {
      const double lower = found.lower[i].item<double>(), upper = found.upper[i].item<double>();
      const auto changes = grid(1.0);
      const auto point = x.narrow(0, i, 1);
      const auto inside = (point + changes).ge(0).logical_and((point + changes).le(1)).all(1);
      const double seen = nearest(exact, point, free.prediction[i].item<int64_t>(),
                                  changes.index_select(0, inside.nonzero().squeeze(1)));
      CHECK(lower >= free.lower[i].item<double>());
      CHECK(seen >= lower);
      CHECK(lower <= upper);
      if (std::isfinite(upper) && upper - lower < 1e-6 * upper) {
        ++met;
        // A boundary may pass between the grid's points near a corner of the range.
        CHECK(seen - upper < 4.0 / 400);
      }
    }
  }
  CHECK(met > 12);  // images whose bounds agree: then the upper one is nearly the grid's
}

TEST_CASE("an attack by gradients never comes below the bound, and mostly comes near") {
  auto model = two_pixels(true, false, 2);
  const ClassForms forms(model);
  const auto x = at::rand({200, 2}, make_generator(at::kCPU, 5), at::kDouble);
  const auto found = smallest_perturbations(model, forms, x);
  const auto attacked = gradient_attack(model, x, found.prediction, 40);
  CHECK(attacked.ge(found.lower).all().item<bool>());
  const auto reached = attacked.isfinite().logical_and(found.upper.isfinite());
  const auto ratio = (attacked / found.upper).masked_select(reached);
  CHECK(ratio.numel() > 100);
  CHECK(ratio.median().item<double>() < 1.05);
}

TEST_CASE("an image whose logits are all equal is as near to another class as can be") {
  auto model = few_pixels(6, false, false, 7);
  const auto x =
      at::cat({at::zeros({1, 6}, at::kDouble), at::rand({3, 6}, make_generator(at::kCPU, 7), at::kDouble)});
  const ClassForms forms(model);
  const auto found = smallest_perturbations(model, forms, x);
  CHECK(found.lower[0].item<double>() == 0);
  CHECK(found.upper[0].item<double>() < 1e-6);
  const auto bounded = bounded_perturbations(model, forms, x, {0, 1}, found);
  CHECK(bounded.lower.isfinite().all().item<bool>());
  CHECK(bounded.lower[0].item<double>() < 1e-6);
}

TEST_CASE("a class with the weights of another is passed over") {
  auto model = few_pixels(6, true, false, 8);
  {
    const at::NoGradGuard no_grad;
    model->head->weight[2].copy_(model->head->weight[0]);
  }
  const auto x = at::rand({20, 6}, make_generator(at::kCPU, 8), at::kDouble);
  const auto found = smallest_perturbations(model, ClassForms(model), x);
  CHECK(found.lower.gt(0).all().item<bool>());
  CHECK(found.upper.isfinite().any().item<bool>());
}

TEST_CASE("forms are the model's logits") {
  auto model = two_pixels(true, true, 3);
  const ClassForms forms(model);
  const auto x = at::rand({7, 2}, make_generator(at::kCPU, 6), at::kDouble);
  const at::NoGradGuard no_grad;
  const auto logits = float64_copy(model)->forward(x);
  const auto values = forms.difference(2, 0).values(x.mm(forms.basis));
  CHECK((values - (logits.select(1, 2) - logits.select(1, 0))).abs().max().item<double>() < 1e-12);
}

TEST_CASE("a classifier of two layers, or with a gate, is no form of the pixels") {
  ClassifierConfig config;
  config.n_layers = 2;
  CHECK_THROWS_AS(ClassForms(ImageClassifier(config)), Error);
  config.n_layers = 1;
  config.gate = Gate::kSilu;
  CHECK_THROWS_AS(ClassForms(ImageClassifier(config)), Error);
}

}  // namespace
}  // namespace bilens::attack_test
