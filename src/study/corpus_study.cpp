#include "bilens/study/corpus_study.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/nn/gated_product.h"
#include "bilens/tensor/r_squared.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"
#include "context_places.h"
#include "gated_factors.h"
#include "layer_forms.h"

namespace bilens {

namespace {

// Eight standard deviations of float32 roundings, whose errors add up like random ones.
constexpr double kSpread = 8.0 / (1 << 24);

/// Sums over tokens of a target t, of the squared sizes that it is rounded at, and of what is to be like it,
/// ŷ. The model's activations are float32.
struct TargetSums {
  at::Tensor count, t, tt, size, y, yy, ty;

  at::Tensor spread() const { return tt - t.square() / count; }  // Σ(t − t̄)²
  at::Tensor r2() const { return r_squared(tt - 2 * ty + yy, spread(), size, at::kFloat); }
  at::Tensor correlation() const {
    const auto own = yy - y.square() / count;
    return at::where(varies(spread(), size, at::kFloat).logical_and(varies(own, yy, at::kFloat)),
                     (ty - y * t / count) / (own * spread()).sqrt(), NAN);
  }
};

/// ŷ of the first 0 ... k eigenpairs: `rest` [..., n] and contributions [..., n, k] → [..., n, k + 1].
at::Tensor cumulative(const at::Tensor& rest, const at::Tensor& contributions) {
  const auto start = rest.unsqueeze(-1);
  return at::cat({start, start + contributions.cumsum(-1)}, -1);
}

/// Which of `count` rows, of tokens that follow `first`, are in the sample: [r] in the order of their places.
at::Tensor sampled_rows(const at::Tensor& sample, int64_t first, int64_t count) {
  const auto inside = (sample >= first).logical_and(sample < first + count);
  return sample.masked_select(inside) - first;
}

/// Sums over tokens of one layer, in float64 on the layer's device.
class LayerSums {
 public:
  LayerSums(const CorpusSource& source, const Decoder& model, at::Device device, const at::Tensor& sample,
            const CorpusStudyConfig& config)
      : source_(source),
        of_model_(model.layer(source.decomposition.layer)),
        activation_(model.activation(source.decomposition.layer)),
        sample_(sample),
        layer_(source.layer.to(at::kFloat, device)),
        unit_constants_(source.unit_constants.defined() ? source.unit_constants.to(device, at::kDouble)
                                                        : at::Tensor()),
        forms_(source.decomposition, source.gains, device),
        places_(forms_.values().numel(), sample, config) {
    scales_ = forms_.scales(layer_.down);
    const int64_t n = forms_.directions(), k = forms_.pairs();
    const auto options = at::device(device).dtype(at::kDouble);
    outputs_ = at::zeros({2, n}, options), contributions_ = at::zeros({2, n, k}, options);
    parts_ = at::zeros({2, n, 3}, options), form_error_ = at::zeros({n}, options);
    size_ = at::zeros({n}, options);
    rebuilt_ = at::zeros({3, n, k + 1}, options);
  }

  /// @param x [tokens, d] input of the MLP behind its norm @param y [tokens, d_out] its output
  /// @param place of the first of these tokens
  void add(const at::Tensor& x, const at::Tensor& y, int64_t place) {
    const int64_t at_once = std::max<int64_t>(1, kPartBytes / (8 * forms_.values().numel()));
    for (int64_t first = 0; first < x.size(0); first += at_once) {
      const int64_t count = std::min(at_once, x.size(0) - first);
      add_part(x.narrow(0, first, count), y.narrow(0, first, count), place + first);
    }
  }

  CorpusLayer finish(int64_t tokens) const {
    const auto count = static_cast<double>(tokens);
    const auto mean_and_std = [&](const at::Tensor& sums) {
      const auto mean = sums[0] / count;
      return std::make_pair(mean.cpu(), (sums[1] / count - mean.square()).clamp_min(0).sqrt().cpu());
    };
    CorpusLayer result;
    result.layer = source_.decomposition.layer;
    std::tie(result.output_mean, result.output_std) = mean_and_std(outputs_);
    std::tie(result.contribution_mean, result.contribution_std) = mean_and_std(contributions_);
    result.part_mean = (parts_[0] / count).cpu(), result.part_square = (parts_[1] / count).cpu();
    const TargetSums all = {at::full_like(outputs_[0].unsqueeze(1), count),
                            outputs_[0].unsqueeze(1),
                            outputs_[1].unsqueeze(1),
                            size_.unsqueeze(1),
                            rebuilt_[0],
                            rebuilt_[1],
                            rebuilt_[2]};
    result.form_r2 = r_squared(form_error_, all.spread().squeeze(1), size_, at::kFloat).cpu();
    result.r2 = all.r2().cpu(), result.correlation = all.correlation().cpu();
    places_.finish(forms_.values().sizes().vec(), result);
    finish_active(result);
    if (is_surrogate()) {
      result.sample_error = at::cat(sampled_errors_).t().to(at::kFloat).contiguous().cpu();
      result.sample_bound = at::cat(sampled_bounds_).t().to(at::kFloat).contiguous().cpu();
    }
    return result;
  }

 private:
  bool is_surrogate() const { return activation_.kind != Gate::kNone; }

  /// What the forms can be wrong by at most: [rows, n]. @param behind_norm, x what the model's MLP and the
  /// surrogate read @param gate, up [rows, h] of the surrogate
  at::Tensor bound(const at::Tensor& behind_norm, const at::Tensor& x, const at::Tensor& gate,
                   const at::Tensor& up) const {
    const auto [z, y] = gated_factors(of_model_, behind_norm);
    auto wrong = gated_product(z.to(at::kDouble), y.to(at::kDouble), activation_) -
                 gate.to(at::kDouble) * up.to(at::kDouble);
    if (unit_constants_.defined()) wrong = wrong - unit_constants_;
    const auto own = factor_size(behind_norm, of_model_.gate, of_model_.gate_bias) *
                     factor_size(behind_norm, of_model_.up, of_model_.up_bias);
    const auto of_surrogate =
        factor_size(x, layer_.gate, layer_.gate_bias) * factor_size(x, layer_.up, layer_.up_bias);
    const auto rounding = kSpread * std::sqrt(static_cast<double>(layer_.d_in() + layer_.d_hidden())) *
                          (own + 2 * of_surrogate);
    const auto left = wrong.abs() + rounding;
    return scales_.defined() ? left.mm(scales_.abs().to(at::kDouble).t()) : left;
  }

  /// What a factor is a sum of: ‖w_k‖‖x‖ + |b_k|, float64 [rows, h].
  static at::Tensor factor_size(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    const auto sizes = x.to(at::kDouble).norm(2, {1}, true) * weight.norm(2, {1}).to(at::kDouble);
    return bias.defined() ? sizes + bias.abs() : sizes;
  }

  /// Over the sample, some directions at a time.
  void finish_active(CorpusLayer& result) const {
    const int64_t n = forms_.directions(), k = forms_.pairs(), s = sample_.size(0);
    const auto t = at::cat(sampled_outputs_), size = at::cat(sampled_sizes_),
               rest = at::cat(sampled_rests_);  // [s, n]
    const auto mean = result.output_mean.to(t.device()), std = result.output_std.to(t.device());
    const auto projections = places_.sampled().view({s, n, k});
    const int64_t at_once = std::max<int64_t>(1, kPartBytes / (8 * s * (k + 1)));
    std::vector<at::Tensor> counts, r2, correlations;
    for (int64_t first = 0; first < n; first += at_once) {
      const auto part = [&](const at::Tensor& x, int64_t dim) {
        return x.narrow(dim, first, std::min(at_once, n - first));
      };
      const auto each = part(projections, 1).to(at::kDouble).square() * part(forms_.values(), 0);
      const auto rebuilt = cumulative(part(rest, 1), each), target = part(t, 1).unsqueeze(-1);
      const auto active = ((part(t, 1) - part(mean, 0)).abs() > part(std, 0)).to(at::kDouble).unsqueeze(-1);
      const auto sum = [&](const at::Tensor& x) { return (active * x).sum(0); };
      TargetSums found = {active.sum(0),        sum(target),
                          sum(target.square()), sum(part(size, 1).square().unsqueeze(-1)),
                          sum(rebuilt),         sum(rebuilt.square()),
                          sum(rebuilt * target)};
      counts.push_back(found.count.squeeze(1));
      r2.push_back(found.r2());
      correlations.push_back(found.correlation());
    }
    result.active_count = at::cat(counts).to(at::kInt).cpu();
    result.active_r2 = at::cat(r2).cpu(), result.active_correlation = at::cat(correlations).cpu();
  }

  /// @param behind_norm [tokens, d] the MLP's own input
  void add_part(const at::Tensor& behind_norm, const at::Tensor& y, int64_t place) {
    const auto rows = sampled_rows(sample_, place, y.size(0));
    const auto x = forms_.inputs(behind_norm), t = forms_.outputs(y), size = forms_.sizes(y);
    // float32, as the model is: in float64 the weights of all layers would be held twice over.
    const auto narrow = x.to(at::kFloat);
    const auto gate = narrow.mm(layer_.gate.t()), up = narrow.mm(layer_.up.t()), hidden = gate * up;
    const auto quadratic = (scales_.defined() ? hidden.mm(scales_.t()) : hidden).to(at::kDouble);
    const auto linear = forms_.linear(x), constant = forms_.constant(x);
    add_moments(outputs_, t);
    size_ += size.square().sum(0);
    add_moments(parts_, at::stack({quadratic, linear, constant}, -1));
    const auto error = t - quadratic - linear - constant;
    form_error_ += error.square().sum(0);
    const auto sampled = [&](const at::Tensor& values) { return values.index_select(0, rows); };
    if (is_surrogate()) {
      const auto with = [](const at::Tensor& product, const at::Tensor& bias) {
        return bias.defined() ? product + bias : product;
      };
      sampled_errors_.push_back(sampled(error).abs());
      sampled_bounds_.push_back(bound(sampled(behind_norm), sampled(x), with(sampled(gate), layer_.gate_bias),
                                      with(sampled(up), layer_.up_bias)));
    }

    const auto projections = forms_.projections(x, forms_.pairs()), each = forms_.contributions(projections);
    places_.add(projections, place, rows);
    add_moments(contributions_, each);
    const auto rest = forms_.rest(x);
    sampled_outputs_.push_back(sampled(t)), sampled_sizes_.push_back(sampled(size));
    sampled_rests_.push_back(sampled(rest));
    const auto rebuilt = cumulative(rest, each);
    rebuilt_[0] += rebuilt.sum(0);
    rebuilt_[1] += rebuilt.square().sum(0);
    rebuilt_[2] += (rebuilt * t.unsqueeze(-1)).sum(0);
  }

  static void add_moments(at::Tensor& sums, const at::Tensor& values) {
    sums[0] += values.sum(0);
    sums[1] += values.square().sum(0);
  }

  const CorpusSource& source_;
  const DecoderLayer& of_model_;
  Activation activation_;
  at::Tensor sample_;
  BilinearLayer layer_;
  at::Tensor unit_constants_;  // float64 [h], or undefined
  LayerForms forms_;
  at::Tensor scales_;                                     // u·P [n, h]; undefined: the identity
  at::Tensor outputs_, contributions_, parts_, rebuilt_;  // sums, and sums of squares and of products
  at::Tensor form_error_, size_;                          // [n]
  ContextPlaces places_;
  std::vector<at::Tensor> sampled_outputs_, sampled_sizes_, sampled_rests_, sampled_errors_,
      sampled_bounds_;  // [rows, n]
};

/// Places of some tokens of all that are read, ascending.
at::Tensor draw_sample(int64_t tokens, const CorpusStudyConfig& config) {
  const auto seed = derive_seed(static_cast<uint64_t>(config.seed), "corpus sample");
  const auto drawn = at::randperm(tokens, make_generator(at::kCPU, seed), at::kLong);
  return std::get<0>(drawn.narrow(0, 0, std::min(config.sample, tokens)).sort());
}

}  // namespace

const FieldTable<CorpusStudyConfig>& CorpusStudyConfig::fields() {
  using C = CorpusStudyConfig;
  static const FieldTable<C> table =
      FieldTable<C>("The analysis \"corpus\" of a language model: what its eigenvectors contribute on text.")
          .integer("tokens", &C::tokens, "Read from the start of the data.", between(2, 1e9), "tokens")
          .integer(
              "contexts", &C::contexts,
              "Places where an eigenvector's projection is largest, and as many where it is most negative.",
              between(0, 1000))
          .integer("sample", &C::sample, "Tokens, drawn at random, that quantiles and histograms are of.",
                   between(2, 1e6), "tokens")
          .integer("loss_tokens", &C::loss_tokens,
                   "Tokens for the model's loss with a layer replaced by its first k eigenpairs; 0: not "
                   "measured.",
                   between(0, 1e9), "tokens")
          .integer("seed", &C::seed, "Seed of that sample.", at_least(0));
  return table;
}

void check_fit(const CorpusSource& source, const DecoderConfig& model) {
  const auto& d = source.decomposition;
  const std::string where = "layer " + std::to_string(d.layer);
  if (d.layer >= model.num_hidden_layers)
    throw Error(ExitCode::kBadInput, {where, "a layer of the model", "none", ""});
  require_shape(d.pairs.eigenvectors, {-1, -1, model.hidden_size}, where + ": eigenvectors");
}

CorpusStudy study_corpus(Decoder& model, const TextWindows& text, const std::vector<CorpusSource>& sources,
                         const CorpusStudyConfig& config) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const auto sample = draw_sample(text.predicted(), config).to(device);
  std::vector<LayerSums> sums;
  for (const auto& source : sources) {
    check_fit(source, model.config());
    sums.emplace_back(source, model, device, sample, config);
  }
  CorpusStudy study;
  study.window = text.context - 1;
  study.sample = sample.to(at::kCPU, at::kInt);
  std::vector<at::Tensor> ids;
  text.each("corpus", [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
      for (size_t i = 0; i < sources.size(); ++i) {
        if (sources[i].decomposition.layer == layer)
          sums[i].add(x.flatten(0, 1), y.flatten(0, 1), study.tokens);
      }
      return y;
    };
    model.final_states(batch.inputs.to(device), options);
    study.tokens += batch.inputs.numel();
    ids.push_back(batch.inputs.flatten().to(at::kInt));
  });
  study.ids = at::cat(ids);
  study.quantiles.assign(std::begin(kCorpusQuantiles), std::end(kCorpusQuantiles));
  for (const auto& of_layer : sums) {
    study.layers.push_back(of_layer.finish(study.tokens));
    study.summaries.push_back(summarize_corpus(study.layers.back()));
  }
  return study;
}

/// Contributions, their sums over eigenpairs, and temporaries of these.
int64_t corpus_study_bytes() { return 6 * kPartBytes; }

/// The sample's projections, sorted with their ranks at the end; the ends' values and places; what the sample
/// has of each direction.
int64_t corpus_layer_bytes(int64_t directions, int64_t k, const CorpusStudyConfig& config) {
  return directions * (k * (config.sample * (4 + 3 * 8) + config.contexts * 2 * 16) + config.sample * 9 * 8);
}

}  // namespace bilens
