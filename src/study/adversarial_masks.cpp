#include "bilens/study/adversarial_masks.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/random.h"

namespace bilens {

namespace {

at::Tensor unit_rows(const at::Tensor& rows) { return rows / rows.norm(2, 1, true).clamp_min(1e-300); }

/// The eigenvectors of the largest positive eigenvalues of each class, over z: [classes · m, r].
at::Tensor top_eigenvectors_of_classes(const ClassForms& forms, int64_t& each) {
  const auto centred = forms.weights.head - forms.weights.head.mean(0, true);
  const auto [values, vectors] = at::linalg_eigh(forms.matrices(centred));
  each = std::min(each, values.gt(0).sum(1).min().item<int64_t>());
  return vectors.flip(2).narrow(2, 0, each).transpose(1, 2).flatten(0, 1);
}

struct MaskKind {
  std::string name;
  at::Tensor directions;  // [masks, d_input], of unit norm
};

std::vector<MaskKind> kinds_of_masks(const AdversarialMasks& masks, const at::Tensor& dark, uint64_t seed) {
  const auto generator = make_generator(at::kCPU, derive_seed(seed, "masks"));
  const auto random = at::randn(masks.directions.sizes(), generator, at::kDouble);
  std::vector<MaskKind> kinds = {{"eigenvector", masks.directions}, {"random", unit_rows(random)}};
  if (dark.any().item<bool>()) {
    const auto kept = dark.to(at::kDouble).unsqueeze(0);
    kinds.push_back({"edge", unit_rows(masks.directions * kept)});
    kinds.push_back({"random edge", unit_rows(random * kept)});
  }
  return kinds;
}

/// Of one mask of class c. @return [accuracy, share that gets c] on the images of other classes
std::pair<double, double> effect_of(ImageClassifier& model, const at::Tensor& masked,
                                    const at::Tensor& labels, int64_t of_class) {
  const auto found = model->forward(masked).argmax(1).cpu();
  const auto others = labels.ne(of_class);
  const auto share = [&](const at::Tensor& hits) {
    return hits.logical_and(others).sum().item<double>() / std::max<int64_t>(1, others.sum().item<int64_t>());
  };
  return {share(found.eq(labels)), share(found.eq(of_class))};
}

}  // namespace

const FieldTable<MaskConfig>& MaskConfig::fields() {
  using C = MaskConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Masks that are added to all images.")
          .integer("eigenvectors", &C::eigenvectors, "Of each class, whose duals are masks; 0: no masks.",
                   between(0, 1000))
          .numbers("strengths", &C::strengths, "Root mean squares of a mask over the pixels.", more_than(0.0),
                   "pixel/255")
          .number("dark", &C::dark,
                  "A pixel is an edge's where its mean over the training images is below this.", at_least(0),
                  "pixel/255")
          .integer("seed", &C::seed, "Of the random masks.", at_least(0));
  return table;
}

AdversarialMasks dual_masks(const ClassForms& forms, const at::Tensor& training_inputs,
                            int64_t eigenvectors) {
  AdversarialMasks masks;
  masks.each = eigenvectors;
  const auto over_z = top_eigenvectors_of_classes(forms, masks.each);
  const auto duals = at::linalg_pinv(over_z).t();
  const auto mean = training_inputs.mean(0, true).mm(forms.basis);
  const auto sign = over_z.mm(mean.t()).sign();
  masks.directions = unit_rows((duals * sign).mm(forms.basis.t()));
  return masks;
}

std::vector<MaskEffect> measure_masks(ImageClassifier& model, const ImageDataset& images,
                                      const AdversarialMasks& masks, const MaskConfig& config) {
  const at::NoGradGuard no_grad;
  const auto& c = model->config;
  const auto device = model->embed->weight.device();
  const auto inputs = to_inputs(images.test.images, c.pixel_mean, c.pixel_std, device);
  const auto labels = images.test.labels.to(at::kLong);
  const auto dark = images.train.images.flatten(1).to(at::kFloat).mean(0).div(255).lt(config.dark);
  const auto kinds = kinds_of_masks(masks, dark, static_cast<uint64_t>(config.seed));
  const int64_t count = masks.directions.size(0);
  Progress progress("masks", static_cast<int64_t>(kinds.size() * config.strengths.size()) * count, "masks");
  std::vector<MaskEffect> effects;
  for (const auto& kind : kinds) {
    for (const double strength : config.strengths) {
      MaskEffect effect{kind.name, strength, 0, 0};
      const double length = strength * std::sqrt(static_cast<double>(c.d_input)) / c.pixel_std;
      for (int64_t i = 0; i < count; ++i) {
        if (stop_requested()) throw Stopped{};
        const auto mask = (length * kind.directions[i]).to(device, at::kFloat);
        const auto [accuracy, misclassified] = effect_of(model, inputs + mask, labels, i / masks.each);
        effect.accuracy += accuracy / static_cast<double>(count);
        effect.misclassified += misclassified / static_cast<double>(count);
        progress.advance(1);
      }
      effects.push_back(effect);
    }
  }
  return effects;
}

}  // namespace bilens
