#include "bilens/study/intervention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

#include "bilens/tensor/random.h"
#include "layer_forms.h"

namespace bilens {

namespace {

const std::vector<std::pair<std::string, Change>>& change_names() {
  static const std::vector<std::pair<std::string, Change>> names = {{"zero", Change::kZero},
                                                                    {"mean", Change::kMean},
                                                                    {"resample", Change::kResample},
                                                                    {"scale", Change::kScale},
                                                                    {"patch", Change::kPatch}};
  return names;
}

/// Several quantities of each token of a text, each with what it is.
struct Quantities {
  std::vector<Changed> names;
  at::Tensor scales;  // [controls, e], that give the controls' terms the mean of the eigenpairs'
  at::Tensor values;  // [quantities, tokens] float64 on the CPU
};

/// Controls of other eigenpairs, each of about the |λ| of the one whose place it takes, at random, none twice
/// in a control nor twice in a place: [others, e] of `other_values`.
at::Tensor draw_others(const ChosenPairs& pairs, int64_t controls, uint64_t seed) {
  const int64_t e = pairs.values.size(0);
  const int64_t known = pairs.other_values.defined() ? pairs.other_values.size(0) : 0;
  const int64_t others = std::clamp<int64_t>(known - e + 1, 0, controls);
  const int64_t near = std::min(2 * controls + e - 1, known);  // leaves one that is free each time
  auto drawn = at::empty({others, e}, at::kLong);
  std::vector<std::set<int64_t>> taken(static_cast<size_t>(others));
  for (int64_t i = 0; i < e && others > 0; ++i) {
    const auto far = (pairs.other_values.abs() - pairs.values[i].abs()).abs();
    const auto generator =
        make_generator(at::kCPU, derive_seed(seed, "other eigenvectors", static_cast<uint64_t>(i)));
    const auto order = std::get<1>(far.topk(near, 0, /*largest=*/false))
                           .index_select(0, at::randperm(near, generator, at::kLong))
                           .contiguous();
    std::vector<int64_t> free(order.const_data_ptr<int64_t>(), order.const_data_ptr<int64_t>() + near);
    for (int64_t control = 0; control < others; ++control) {
      auto& used = taken[static_cast<size_t>(control)];
      const auto found =
          std::find_if(free.begin(), free.end(), [&](int64_t other) { return !used.contains(other); });
      drawn[control][i] = *found;
      used.insert(*found);
      free.erase(found);
    }
  }
  return drawn;
}

/// λ (v·x)² of the eigenpairs, of random vectors in the place of v, and of other eigenpairs.
class Terms {
 public:
  Terms(const ChosenPairs& pairs, int64_t controls, uint64_t seed, at::Device device) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kCPU, at::kDouble); };
    const auto own = wide(pairs.vectors), own_values = wide(pairs.values).unsqueeze(0);
    const int64_t e = own.size(0), d = own.size(1);
    const auto generator = make_generator(at::kCPU, derive_seed(seed, "random vectors"));
    const auto random = at::randn({controls * e, d}, generator, at::dtype(at::kDouble));
    std::vector<at::Tensor> vectors = {own, random / random.norm(2, {1}, true)},
                            values = {own_values.expand({1 + controls, e})};
    if (const auto chosen = draw_others(pairs, controls, seed); chosen.numel() > 0) {
      vectors.push_back(wide(pairs.other_vectors.index_select(0, chosen.flatten())));
      values.push_back(wide(pairs.other_values.index_select(0, chosen.flatten())).view_as(chosen));
    }
    vectors_ = at::cat(vectors).to(device), values_ = at::cat(values).to(device);
  }

  /// [tokens, 1 + controls + others, e]
  at::Tensor operator()(const at::Tensor& x) const {
    return x.mm(vectors_.t()).square().unflatten(1, {-1, values_.size(1)}) * values_;
  }

 private:
  at::Tensor vectors_, values_;  // [(1 + controls + others) e, d], [1 + controls + others, e]
};

/// u of an MLP's own output: through the gain of a norm behind it.
at::Tensor output_direction(const ChosenPairs& pairs, at::Device device) {
  const auto u = pairs.direction.to(device, at::kDouble);
  return pairs.gains.behind.defined() ? u * pairs.gains.behind.to(device, at::kDouble) : u;
}

/// q of the eigenpairs, u·y, and q of the controls, at every token. @param scales of another text; undefined:
/// this one's
Quantities measure(Decoder& model, const TextWindows& text, const ChosenPairs& pairs,
                   const InterventionConfig& config, const at::Tensor& scales = {}) {
  const auto device = model.parameters().front().second.device();
  const auto u = output_direction(pairs, device);
  const Terms terms(pairs, config.controls, static_cast<uint64_t>(config.seed), device);
  const auto before_gain = inverse_gain(pairs.gains.before, device);
  std::vector<at::Tensor> all_terms, outputs;
  text.each("measure", [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      if (layer != pairs.layer) return y;
      auto input = x.flatten(0, 1).to(at::kDouble);
      if (before_gain.defined()) input = input * before_gain;
      all_terms.push_back(terms(input).cpu());
      outputs.push_back(y.flatten(0, 1).to(at::kDouble).mv(u).cpu());
      return y;
    };
    model.final_states(batch.inputs.to(device), options);
  });
  const auto found = at::cat(all_terms);  // [tokens, 1 + controls + others, e]
  const auto own = found.select(1, 0), random = found.narrow(1, 1, config.controls),
             others = found.slice(1, 1 + config.controls);
  Quantities result;
  result.scales = scales.defined() ? scales : at::nan_to_num(own.mean(0) / random.mean(0), 0, 0, 0);
  result.names = {Changed::kEigenvectors, Changed::kDirection};
  std::vector<at::Tensor> rows = {own.sum(1), at::cat(outputs)};
  for (int64_t i = 0; i < config.controls; ++i) {
    result.names.push_back(Changed::kSameEigenvalues);
    rows.push_back(random.select(1, i).sum(1));
  }
  for (int64_t i = 0; i < config.controls; ++i) {
    result.names.push_back(Changed::kSameMean);
    rows.push_back((random.select(1, i) * result.scales[i]).sum(1));
  }
  for (const auto& other : others.unbind(1)) {
    result.names.push_back(Changed::kOtherEigenvectors);
    rows.push_back(other.sum(1));
  }
  result.values = at::stack(rows);
  return result;
}

/// What takes the place of q [quantities, tokens].
at::Tensor changed(const at::Tensor& q, const InterventionConfig& config, const at::Tensor& of_source) {
  switch (config.change) {
    case Change::kZero: return at::zeros_like(q);
    case Change::kMean: return q.mean(1, true).expand_as(q);
    case Change::kScale: return config.factor * q;
    case Change::kPatch: return of_source.narrow(1, 0, q.size(1));
    case Change::kResample: break;
  }
  const auto generator =
      make_generator(at::kCPU, derive_seed(static_cast<uint64_t>(config.seed), "resample"));
  return q.index_select(1, at::randperm(q.size(1), generator, at::kLong));
}

/// Loss, divergence and logits of a changed model beside the model's own.
struct Predictions {
  at::Tensor logs;    // log p [rows, length, vocabulary]
  at::Tensor losses;  // [rows, length]
  at::Tensor figure;  // logit_direction·logits [rows, length]

  Predictions(Decoder& model, const TokenBatch& batch, const ForwardOptions& options,
              const at::Tensor& logit_direction) {
    const auto device = model.parameters().front().second.device();
    const auto logits = model.logits(model.final_states(batch.inputs.to(device), options));
    logs = logits.log_softmax(-1);
    losses = logs.gather(-1, batch.targets.to(device).unsqueeze(-1)).squeeze(-1).neg();
    figure = logit_direction.defined() ? logits.matmul(logit_direction) : at::zeros_like(losses);
  }

  std::vector<at::Tensor> changes_to(const Predictions& other) const {
    return {other.losses - losses, (logs.exp() * (logs - other.logs)).sum(-1), other.figure - figure};
  }
};

/// Intervals of each effect's figures. @param sums [effects, figures, documents]
std::vector<OfFigures<IntervalRecord>> intervals(const at::Tensor& tokens, const at::Tensor& sums) {
  const auto found = document_intervals(tokens, sums.flatten(0, 1));
  std::vector<OfFigures<IntervalRecord>> all;
  for (size_t i = 0; i < found.size(); i += 3) all.push_back({found[i], found[i + 1], found[i + 2]});
  return all;
}

/// Tests beside each kind of control among the effects. @param sums [effects, figures, documents]
std::vector<KindTest> tests_of(const std::vector<Effect>& effects, const at::Tensor& tokens,
                               const at::Tensor& sums) {
  std::vector<KindTest> tests;
  for (size_t first = 2; first < effects.size();) {
    const auto what = effects[first].what;
    size_t end = first;
    while (end < effects.size() && effects[end].what == what) ++end;
    const auto controls = sums.slice(0, static_cast<int64_t>(first), static_cast<int64_t>(end));
    const auto figure = [&](int64_t i) { return test_beside(tokens, sums[0][i], controls.select(1, i)); };
    tests.push_back({what, controls.size(0), {figure(0), figure(1), figure(2)}});
    first = end;
  }
  return tests;
}

}  // namespace

std::vector<std::pair<std::string, Changed>> record_names(Changed) {
  return {{"eigenvectors", Changed::kEigenvectors},
          {"direction", Changed::kDirection},
          {"random, same eigenvalues", Changed::kSameEigenvalues},
          {"random, same mean", Changed::kSameMean},
          {"other eigenvectors", Changed::kOtherEigenvectors}};
}

std::string change_name(Change change) {
  const auto found = std::find_if(change_names().begin(), change_names().end(),
                                  [&](const auto& named) { return named.second == change; });
  return found->first;
}

const FieldTable<InterventionConfig>& InterventionConfig::fields() {
  using C = InterventionConfig;
  static const FieldTable<C> table =
      FieldTable<C>("What takes the place of a contribution.")
          .choice("change", &C::change,
                  "\"zero\"; \"mean\": its mean over the text; \"resample\": its value at a random "
                  "token; \"scale\": `factor` times it; \"patch\": its value at the same place of "
                  "`source`.",
                  change_names())
          .number("factor", &C::factor, "Factor of \"scale\"; 1 changes nothing.")
          .integer("looked_at", &C::looked_at,
                   "Eigenvectors that are looked at in all, here and in other calls, for p: each asks for "
                   ".05/looked_at; 0: those that are changed here.",
                   between(0, 1e6))
          .integer("controls", &C::controls,
                   "Random vectors of each of two kinds, and other eigenvectors, changed alike; 0: as many "
                   "as that p needs, 20 looked_at - 1, but no more than 1000.",
                   between(0, kMostControls))
          .integer("seed", &C::seed, "Seed of random vectors, other eigenvectors and resampling.",
                   at_least(0));
  return table;
}

InterventionConfig InterventionConfig::resolved(int64_t eigenvectors) const {
  auto config = *this;
  if (looked_at == 0) config.looked_at = eigenvectors;
  if (controls == 0) config.controls = std::min(controls_needed(config.looked_at), kMostControls);
  return config;
}

InterventionStudy intervene(Decoder& model, const TextWindows& text, const ChosenPairs& pairs,
                            const InterventionConfig& config, const TextWindows* source,
                            const at::Tensor& logit_direction) {
  const at::NoGradGuard no_grad;
  if (source != nullptr && source->predicted() < text.predicted()) {
    throw Error(ExitCode::kBadInput,
                {"source", "a text of at least " + std::to_string(text.predicted()) + " predicted tokens",
                 std::to_string(source->predicted()), "Lower tokens, or give a longer source."});
  }
  if (pairs.direction.count_nonzero().item<int64_t>() == 0) {
    throw Error(ExitCode::kBadInput, {"direction", "a direction that is not 0", "0", "Choose another."});
  }
  const auto quantities = measure(model, text, pairs, config);
  const auto of_source =
      source != nullptr ? measure(model, *source, pairs, config, quantities.scales).values : at::Tensor();
  const auto changes = changed(quantities.values, config, of_source) - quantities.values;
  const auto count = static_cast<int64_t>(quantities.names.size());

  const auto device = model.parameters().front().second.device();
  const auto u = output_direction(pairs, device);
  const auto along = u / u.square().sum();
  const auto followed = logit_direction.defined() ? logit_direction.to(device, at::kFloat) : at::Tensor();
  std::vector<DocumentSums> sums;
  for (int64_t i = 0; i < count; ++i) sums.emplace_back(text.stream, text.first + text.tokens, 3);
  InterventionStudy study;
  double loss = 0.0;
  text.each("intervene", [&](const TokenBatch& batch, ForwardOptions options) {
    const Predictions own(model, batch, options, followed);
    loss += own.losses.sum(at::kDouble).item<double>();
    for (int64_t i = 0; i < count; ++i) {
      const auto change = changes[i].narrow(0, study.tokens, batch.inputs.numel()).to(device);
      options.mlp_hook = [&](int64_t layer, const at::Tensor&, const at::Tensor& y) {
        if (layer != pairs.layer) return y;
        return y + change.unsqueeze(1).mul(along).view_as(y).to(y.scalar_type());
      };
      sums[i].add(batch.begins, own.changes_to(Predictions(model, batch, options, followed)));
    }
    study.tokens += batch.inputs.numel();
  });
  study.loss = loss / static_cast<double>(study.tokens);
  const auto tokens = sums.front().tokens();
  study.documents = tokens.gt(0).sum().item<int64_t>();
  std::vector<at::Tensor> of_effects;
  for (const auto& of_effect : sums) of_effects.push_back(of_effect.sums());
  const auto all = at::stack(of_effects);
  const auto of_changes = intervals(tokens, all), of_differences = intervals(tokens, all[0] - all);
  for (int64_t i = 0; i < count; ++i) {
    const auto place = static_cast<size_t>(i);
    study.effects.push_back({quantities.names[place], changes[i].square().mean().sqrt().item<double>(),
                             of_changes[place], of_differences[place]});
  }
  study.tests = tests_of(study.effects, tokens, all);
  return study;
}

}  // namespace bilens
