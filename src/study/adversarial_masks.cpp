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

constexpr double kNoEigenvalue = 1e-10;  // of the largest: below it is rounding

at::Tensor unit_rows(const at::Tensor& rows) { return rows / rows.norm(2, 1, true).clamp_min(1e-300); }

/// The eigenvectors of the largest positive eigenvalues of each class, over z: [classes · m, r].
at::Tensor top_eigenvectors_of_classes(const ClassForms& forms, int64_t& each) {
  const auto centred = forms.weights.head - forms.weights.head.mean(0, true);
  const auto [values, vectors] = at::linalg_eigh(forms.matrices(centred));
  const auto positive = values.gt(kNoEigenvalue * values.abs().amax(1, true));
  each = std::min({each, positive.sum(1).min().item<int64_t>(), forms.dimension() / forms.classes()});
  return vectors.flip(2).narrow(2, 0, each).transpose(1, 2).flatten(0, 1);
}

struct MasksOfKind {
  MaskKind kind;
  at::Tensor directions;  // [masks, d_input], of unit norm
};

std::vector<MasksOfKind> kinds_of_masks(const AdversarialMasks& masks, const at::Tensor& dark,
                                        uint64_t seed) {
  const auto generator = make_generator(at::kCPU, derive_seed(seed, "masks"));
  const auto random = at::randn(masks.directions.sizes(), generator, at::kDouble);
  std::vector<MasksOfKind> kinds = {{MaskKind::kEigenvector, masks.directions},
                                    {MaskKind::kRandom, unit_rows(random)}};
  if (dark.any().item<bool>()) {
    const auto kept = dark.to(at::kDouble).unsqueeze(0);
    kinds.push_back({MaskKind::kEdge, unit_rows(masks.directions * kept)});
    kinds.push_back({MaskKind::kRandomEdge, unit_rows(random * kept)});
  }
  return kinds;
}

/// Images of other classes than the mask's, summed up over masks.
struct Outcomes {
  int64_t images = 0, right = 0, of_mask = 0;
};

void add_mask(ImageClassifier& model, const at::Tensor& masked, const at::Tensor& labels, int64_t of_class,
              Outcomes& outcomes) {
  const auto others = labels.ne(of_class);
  const auto found = model->forward(masked).argmax(1).cpu().masked_select(others);
  outcomes.images += found.numel();
  outcomes.right += found.eq(labels.masked_select(others)).sum().item<int64_t>();
  outcomes.of_mask += found.eq(of_class).sum().item<int64_t>();
}

double share_of(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

}  // namespace

const FieldTable<MaskConfig>& MaskConfig::fields() {
  using C = MaskConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Masks that are added to all images.")
          .integer("eigenvectors", &C::eigenvectors,
                   "Eigenvectors of each class, whose duals are masks; 0: no masks.", between(0, 1000))
          .numbers("strengths", &C::strengths, "Root mean squares of a mask over the pixels.", more_than(0.0),
                   "pixel/255")
          .number("dark", &C::dark,
                  "A pixel is an edge's where its mean over the training images is below this.", at_least(0),
                  "pixel/255")
          .integer("seed", &C::seed, "Seed of the random masks.", at_least(0));
  return table;
}

AdversarialMasks dual_masks(const ClassForms& forms, const at::Tensor& mean_input, int64_t eigenvectors) {
  AdversarialMasks masks;
  masks.each = eigenvectors;
  const auto over_z = top_eigenvectors_of_classes(forms, masks.each);
  const auto duals = at::linalg_pinv(over_z).t();
  const auto mean = mean_input.unsqueeze(0).mm(forms.basis);
  const auto sign = at::where(over_z.mm(mean.t()).lt(0), -1.0, 1.0);
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
  for (const auto& [kind, directions] : kinds) {
    for (const double strength : config.strengths) {
      Outcomes outcomes;
      const double length = strength * std::sqrt(static_cast<double>(c.d_input)) / c.pixel_std;
      for (int64_t i = 0; i < count; ++i) {
        if (stop_requested()) throw Stopped{};
        const auto mask = (length * directions[i]).to(device, at::kFloat);
        add_mask(model, inputs + mask, labels, i / masks.each, outcomes);
        progress.advance(1);
      }
      effects.push_back({kind, strength, share_of(outcomes.right, outcomes.images),
                         share_of(outcomes.of_mask, outcomes.images)});
    }
  }
  return effects;
}

}  // namespace bilens
