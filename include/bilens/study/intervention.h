#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bilens/core/fields.h"
#include "bilens/study/beside_controls.h"
#include "bilens/study/mlp_gains.h"
#include "bilens/study/text_windows.h"

namespace bilens {

/// What takes the place of a quantity q of each token.
enum class Change {
  kZero,      // 0
  kMean,      // its mean over the text
  kResample,  // its value at a token drawn at random (a permutation of all)
  kScale,     // a factor times q
  kPatch      // its value at the same place of another text
};

/// As configs name it: "zero", ...
std::string change_name(Change change);

constexpr int64_t kMostControls = 1000;

struct InterventionConfig {
  Change change = Change::kMean;
  double factor = 2.0;    // of kScale
  int64_t looked_at = 0;  // eigenvectors, here and in other calls; 0: those that are changed here
  int64_t controls = 0;   // of each kind; 0: as many as looked_at needs, kMostControls at most
  int64_t seed = 0;

  /// With looked_at and controls as numbers. @param eigenvectors that are changed
  InterventionConfig resolved(int64_t eigenvectors) const;

  static const FieldTable<InterventionConfig>& fields();
};

/// Eigenpairs of one direction of a layer's output, whose part of u·y is q = Σ λ (v·x)².
struct ChosenPairs {
  int64_t layer = 0;
  at::Tensor direction;        // u [d_out]
  at::Tensor vectors, values;  // [e, d_in], [e]
  MlpGains gains;
  at::Tensor other_vectors, other_values;  // the layer's other eigenpairs [m, d_in], [m], or undefined
};

/// A value of each of the figures that a change moves.
template <class T>
struct OfFigures {
  T loss;        // nats above the model's own
  T divergence;  // KL of the model's own next token to the changed one, nats
  T logits;      // change of logit_direction·h; 0 where none is given
};

/// What is changed: the eigenvectors, their whole direction, or controls of one kind.
enum class Changed { kEigenvectors, kDirection, kSameEigenvalues, kSameMean, kOtherEigenvectors };
std::vector<std::pair<std::string, Changed>> record_names(Changed);

/// What a change does to the model's predictions, means over tokens.
struct Effect {
  Changed what = Changed::kEigenvectors;
  double size = 0.0;  // root mean square of the change of u·y
  OfFigures<IntervalRecord> change;
  OfFigures<IntervalRecord> difference;  // the eigenvectors' change minus this one, by document
};

/// The eigenvectors beside all controls of one kind.
struct KindTest {
  Changed what = Changed::kSameEigenvalues;
  int64_t controls = 0;
  OfFigures<ControlTest> of;
};

struct InterventionStudy {
  int64_t tokens = 0, documents = 0;  // predicted, and those they are of
  double loss = 0.0;                  // of the model as it is
  std::vector<Effect> effects;        // the eigenvectors first, then the direction and the controls
  std::vector<KindTest> tests;        // one a kind of which there are controls
};

/// Runs a model over a text with q changed in the output of one layer, y ← y + (q' − q) u/‖u‖², so that u·y
/// moves by q' − q and nothing orthogonal to u does; beside it, with the same change,
///   - "direction": all of u·y in the place of q;
///   - "random, same eigenvalues": Σ λ (r·x)² for random unit vectors r, which is no part of the output: a
///     disturbance of the same kind;
///   - "random, same mean": the same with each λ scaled so that the term's mean is that of λ (v·x)²;
///   - "other eigenvectors": Σ λ'(v'·x)² of other eigenpairs of the layer, drawn for each λ among those
///     whose |λ'| are nearest, some 2 · controls, none twice; fewer or none where the layer has few others.
/// Two passes; the second runs the model once and once more for each effect. Memory beside the model: 8 bytes
/// × tokens × (1 + 2 · controls) × (8 + 2 · eigenpairs), and some logits.
/// @param config resolved @param source of kPatch's values, at least as long; else null
/// @param logit_direction [vocab_size]: a difference of logits to follow; undefined: none
/// @throws Error(kBadInput) for a source that is shorter and for a direction that is 0; Stopped
InterventionStudy intervene(Decoder& model, const TextWindows& text, const ChosenPairs& pairs,
                            const InterventionConfig& config, const TextWindows* source,
                            const at::Tensor& logit_direction);

}  // namespace bilens
