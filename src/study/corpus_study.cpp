#include "bilens/study/corpus_study.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/files.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/data/token_windows.h"
#include "bilens/io/safetensors.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

constexpr int64_t kTokensAtOnce = 2048;
constexpr int64_t kPartBytes = int64_t{64} << 20;  // of all eigenpairs' contributions on some tokens

/// Projections [tokens, c] of many vectors: where each is largest and most negative, and its distribution.
class Places {
 public:
  /// @param sample places that the distribution is taken of, ascending, int64 on the device
  Places(int64_t vectors, const at::Tensor& sample, const CorpusStudyConfig& config)
      : sample_(sample), keep_(config.contexts) {
    const auto options = sample.options().dtype(at::kDouble);
    for (auto& end : ends_) {
      end.values = at::full({keep_, vectors}, 0.0, options);
      end.places = at::full({keep_, vectors}, -1, sample.options());
    }
    sampled_ = at::empty({sample.size(0), vectors}, options.dtype(at::kFloat));
  }

  /// @param first place of the first row
  void add(const at::Tensor& projections, int64_t first) {
    const int64_t count = projections.size(0);
    for (int side = 0; side < 2 && keep_ > 0; ++side) {
      auto& [values, places] = ends_[side];
      const auto signed_values = side == 0 ? projections : -projections;
      const auto [high, rows] = signed_values.topk(std::min(keep_, count), 0);
      const auto all = at::cat({values, high}), where = at::cat({places, rows + first});
      const auto [best, chosen] = all.topk(keep_, 0);
      values = best, places = where.gather(0, chosen);
    }
    const auto inside = (sample_ >= first).logical_and(sample_ < first + count);
    const auto rows = sample_.masked_select(inside) - first;
    sampled_.narrow(0, seen_, rows.size(0)).copy_(projections.index_select(0, rows));
    seen_ += rows.size(0);
  }

  /// @param shape [n, k] of the vectors
  void finish(const std::vector<int64_t>& shape, CorpusLayer& result) const {
    const auto arrange = [&](const at::Tensor& rows) {  // [r, n * k] as [n, k, r]
      return rows.t().contiguous().view({shape[0], shape[1], -1}).cpu();
    };
    std::vector<at::Tensor> places, projections;
    for (int side = 0; side < 2; ++side) {
      const auto found = ends_[side].values > 0;
      places.push_back(arrange(at::where(found, ends_[side].places, -1)));
      projections.push_back(arrange(ends_[side].values * (side == 0 ? 1.0 : -1.0) * found));
    }
    result.context_places = at::stack(places, 2).to(at::kInt);
    result.context_projections = at::stack(projections, 2);
    const auto [sorted, order] = sampled_.to(at::kDouble).sort(0);
    const auto last = static_cast<double>(sorted.size(0) - 1);
    std::vector<int64_t> ranks;
    for (const double q : kCorpusQuantiles) ranks.push_back(std::llround(q * last));
    const auto at_ranks = at::tensor(ranks, sample_.options());
    result.quantile_projections = arrange(sorted.index_select(0, at_ranks));
    const auto quantiles = order.index_select(0, at_ranks);
    result.quantile_places =
        arrange(sample_.index_select(0, quantiles.flatten()).view_as(quantiles)).to(at::kInt);
    const auto low = sorted[0], range = sorted[-1] - low;
    const auto step = at::arange(kBins + 1, range.options()).unsqueeze(1) / static_cast<double>(kBins);
    result.edges = arrange(low + step * range);
    const auto bin = ((sorted - low) / at::where(range > 0, range, 1.0) * static_cast<double>(kBins)).floor();
    const auto ones = at::ones_like(sorted);
    result.counts = arrange(at::zeros({kBins, range.size(0)}, range.options())
                                .scatter_add_(0, bin.clamp(0, kBins - 1).to(at::kLong), ones))
                        .to(at::kInt);
  }

 private:
  static constexpr int64_t kBins = 24;
  struct End {
    at::Tensor values, places;  // [contexts, c]
  };

  at::Tensor sample_, sampled_;  // [s], float32 [s, c]
  int64_t keep_, seen_ = 0;
  End ends_[2];  // largest, most negative
};

/// Sums over tokens of one layer, in float64 on the layer's device.
class LayerSums {
 public:
  LayerSums(const CorpusSource& source, at::Device device, const at::Tensor& sample,
            const CorpusStudyConfig& config)
      : source_(source),
        layer_(source.layer.to(at::kDouble, device)),
        vectors_(source.decomposition.pairs.eigenvectors.to(device, at::kDouble)),
        values_(source.decomposition.pairs.eigenvalues.to(device, at::kDouble)),
        places_(values_.numel(), sample, config) {
    const auto wide = [&](const at::Tensor& x) { return x.defined() ? x.to(device, at::kDouble) : x; };
    const auto& d = source.decomposition;
    directions_ = wide(d.directions), linear_ = wide(d.linear), constant_ = wide(d.constant),
    shift_ = wide(d.shift);
    if (source.gain.defined()) {
      const auto gain = source.gain.to(device, at::kDouble);
      before_gain_ = at::where(gain == 0, 0.0, 1 / gain);  // W and V are 0 where the gain is
    }
    auto output = layer_.down;
    if (directions_.defined()) output = output.defined() ? directions_.mm(output) : directions_;
    output_ = output;
    const auto options = at::device(device).dtype(at::kDouble);
    const int64_t n = d.count(), k = d.pairs.k();
    outputs_ = at::zeros({2, n}, options), contributions_ = at::zeros({2, n, k}, options);
    parts_ = at::zeros({2, n, 3}, options), form_error_ = at::zeros({n}, options);
    rebuilt_ = at::zeros({3, n, k + 1}, options);
  }

  /// @param x [tokens, d] input of the MLP behind its norm @param y [tokens, d_out] its output
  /// @param place of the first of these tokens
  void add(const at::Tensor& x, const at::Tensor& y, int64_t place) {
    const int64_t at_once = std::max<int64_t>(1, kPartBytes / (8 * values_.numel()));
    for (int64_t first = 0; first < x.size(0); first += at_once) {
      const int64_t count = std::min(at_once, x.size(0) - first);
      add_part(x.narrow(0, first, count).to(at::kDouble), y.narrow(0, first, count).to(at::kDouble),
               place + first);
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
    const auto spread = outputs_[1] - outputs_[0].square() / count;  // Σ(t − t̄)²
    result.form_r2 = (1 - form_error_ / spread).cpu();
    const auto sum = rebuilt_[0], squares = rebuilt_[1], products = rebuilt_[2];  // of ŷ, ŷ², ŷ·t
    const auto t = outputs_[0].unsqueeze(1), tt = outputs_[1].unsqueeze(1);
    result.r2 = (1 - (tt - 2 * products + squares) / spread.unsqueeze(1)).cpu();
    const auto own = squares - sum.square() / count;
    const auto together = products - sum * t / count;
    // What varies by less than rounding does not vary.
    const auto varies = own > 1e-14 * squares;
    places_.finish(values_.sizes().vec(), result);
    result.correlation = at::where(varies, together / (own * spread.unsqueeze(1)).sqrt(), NAN).cpu();
    return result;
  }

 private:
  void add_part(at::Tensor x, const at::Tensor& y, int64_t place) {
    if (before_gain_.defined()) x = x * before_gain_;
    const auto t = directions_.defined() ? y.mm(directions_.t()) : y;
    const auto hidden = x.mm(layer_.gate.t()) * x.mm(layer_.up.t());
    const auto quadratic = output_.defined() ? hidden.mm(output_.t()) : hidden;
    const auto linear = linear_.defined() ? x.mm(linear_.t()) : at::zeros_like(t);
    const auto constant = constant_.defined() ? constant_.expand_as(t) : at::zeros_like(t);
    add_moments(outputs_, t);
    add_moments(parts_, at::stack({quadratic, linear, constant}, -1));
    form_error_ += (t - quadratic - linear - constant).square().sum(0);

    const auto flat = vectors_.flatten(0, 1);
    const auto projections = x.mm(flat.t());
    places_.add(projections, place);
    const auto each = projections.unflatten(1, {values_.size(0), values_.size(1)}).square() * values_;
    add_moments(contributions_, each);
    auto rest = linear + constant;
    if (shift_.defined()) rest = rest + shift_ * x.square().sum(1, true);
    const auto rebuilt = at::cat({rest.unsqueeze(-1), rest.unsqueeze(-1) + each.cumsum(-1)}, -1);
    rebuilt_[0] += rebuilt.sum(0);
    rebuilt_[1] += rebuilt.square().sum(0);
    rebuilt_[2] += (rebuilt * t.unsqueeze(-1)).sum(0);
  }

  static void add_moments(at::Tensor& sums, const at::Tensor& values) {
    sums[0] += values.sum(0);
    sums[1] += values.square().sum(0);
  }

  const CorpusSource& source_;
  BilinearLayer layer_;
  at::Tensor vectors_, values_;                           // [n, k, d], [n, k]
  at::Tensor directions_, linear_, constant_, shift_;     // of the decomposition
  at::Tensor before_gain_;                                // [d]
  at::Tensor output_;                                     // u·P [n, h]; undefined: the identity
  at::Tensor outputs_, contributions_, parts_, rebuilt_;  // sums, and sums of squares and of products
  at::Tensor form_error_;                                 // [n]
  Places places_;
};

void check_fit(const CorpusSource& source, const LlamaConfig& model) {
  const auto& d = source.decomposition;
  const std::string where = "layer " + std::to_string(d.layer);
  if (d.layer >= model.num_hidden_layers)
    throw Error(ExitCode::kBadInput, {where, "a layer of the model", "none", ""});
  require_shape(d.pairs.eigenvectors, {-1, -1, model.hidden_size}, where + ": eigenvectors");
}

/// Places of some tokens of all that are read, ascending.
at::Tensor draw_sample(const std::vector<WindowBatch>& batches, const CorpusStudyConfig& config) {
  int64_t tokens = 0;
  for (const auto& windows : batches)
    tokens += static_cast<int64_t>(windows.begins.size()) * (windows.window - 1);
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
          .integer("seed", &C::seed, "Of that sample.", at_least(0));
  return table;
}

CorpusStudy study_corpus(LlamaDecoder& model, const TokenStream& stream, int64_t context, Packing packing,
                         const std::vector<CorpusSource>& sources, const CorpusStudyConfig& config) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const int64_t tokens = std::min(config.tokens, stream.size());
  const auto batches = evaluation_windows(tokens, context, std::max<int64_t>(1, kTokensAtOnce / context));
  const auto sample = draw_sample(batches, config).to(device);
  std::vector<LayerSums> sums;
  for (const auto& source : sources) {
    check_fit(source, model.config());
    sums.emplace_back(source, device, sample, config);
  }
  CorpusStudy study;
  study.window = context - 1;
  ForwardOptions options;
  options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& y) {
    for (size_t i = 0; i < sources.size(); ++i) {
      if (sources[i].decomposition.layer == layer)
        sums[i].add(x.flatten(0, 1), y.flatten(0, 1), study.tokens);
    }
    return y;
  };
  std::vector<at::Tensor> ids;
  Progress progress("corpus", tokens, "tokens");
  for (const auto& windows : batches) {
    if (stop_requested()) throw Stopped{};
    const auto batch = make_batch(stream, windows.begins, windows.window);
    if (packing == Packing::kDocuments) options.document_starts = batch.document_starts;
    model.final_states(batch.inputs.to(device), options);
    study.tokens += batch.inputs.numel();
    ids.push_back(batch.inputs.flatten().to(at::kInt));
    progress.advance(static_cast<int64_t>(windows.begins.size()) * windows.window);
  }
  study.ids = at::cat(ids);
  for (const auto& of_layer : sums) study.layers.push_back(of_layer.finish(study.tokens));
  return study;
}

/// Contributions, their sums over eigenpairs, and temporaries of these.
int64_t corpus_study_bytes() { return 6 * kPartBytes; }

/// The sample's projections, sorted with their ranks at the end; the ends' values and places.
int64_t corpus_layer_bytes(int64_t vectors, const CorpusStudyConfig& config) {
  return vectors * (config.sample * (4 + 3 * 8) + config.contexts * 2 * 16);
}

Json summarize_corpus(const CorpusLayer& layer) {
  const auto squares = layer.part_square.sum(0);
  const auto share = [&](int64_t part) { return (squares[part] / squares.sum()).item<double>(); };
  const auto mean = [](const at::Tensor& values) {
    const double found = values.nanmean().item<double>();
    return std::isnan(found) ? Json() : Json(found);
  };
  Json r2 = Json::array(), correlation = Json::array();
  for (int64_t k = 0; k < layer.r2.size(1); ++k) {
    r2.push_back(mean(layer.r2.select(1, k)));
    correlation.push_back(mean(layer.correlation.select(1, k)));
  }
  return {{"layer", layer.layer},
          {"directions", layer.r2.size(0)},
          {"quadratic", share(0)},
          {"linear", share(1)},
          {"constant", share(2)},
          {"form_r2", mean(layer.form_r2)},
          {"r2", r2},
          {"correlation", correlation}};
}

void write_corpus_study(const std::filesystem::path& directory, const CorpusStudy& study) {
  NamedTensors tensors = {{"tokens", study.ids}};
  Json layers = Json::array();
  for (const auto& layer : study.layers) {
    layers.push_back(summarize_corpus(layer));
    const std::string prefix = "layer_" + std::to_string(layer.layer) + ".";
    for (const auto& [name, tensor] : std::vector<std::pair<std::string, at::Tensor>>{
             {"output_mean", layer.output_mean},
             {"output_std", layer.output_std},
             {"contribution_mean", layer.contribution_mean},
             {"contribution_std", layer.contribution_std},
             {"part_mean", layer.part_mean},
             {"part_square", layer.part_square},
             {"form_r2", layer.form_r2},
             {"correlation", layer.correlation},
             {"r2", layer.r2},
             {"contexts.places", layer.context_places},
             {"contexts.projections", layer.context_projections},
             {"quantiles.places", layer.quantile_places},
             {"quantiles.projections", layer.quantile_projections},
             {"histogram.edges", layer.edges},
             {"histogram.counts", layer.counts}})
      tensors.emplace_back(prefix + name, tensor.contiguous());
  }
  write_safetensors(directory / "corpus.safetensors", tensors,
                    {{"format", "bilens-corpus"}, {"format_version", "1"}});
  write_text(directory / "corpus.json", format_json({{"format", "bilens-corpus"},
                                                     {"format_version", 1},
                                                     {"data", study.data},
                                                     {"tokens", study.tokens},
                                                     {"window", study.window},
                                                     {"quantiles", kCorpusQuantiles},
                                                     {"vocabulary", study.names},
                                                     {"layers", layers}}));
}

}  // namespace bilens
