#include "corpus_data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "numbers.h"

namespace bilens::report {

namespace {

constexpr int64_t kBefore = 12, kAfter = 4;  // tokens shown around a place

/// A layer's summary as the page takes it.
Json summary_of(const CorpusSummary& layer) {
  Json data = {
      {"layer", layer.layer},
      {"directions", layer.directions},
      {"quadratic", short_number(layer.quadratic)},
      {"linear", short_number(layer.linear)},
      {"constant", short_number(layer.constant)},
      {"form_r2", short_number(layer.form_r2)},
      {"r2", short_numbers(layer.r2)},
      {"correlation", short_numbers(layer.correlation)},
      {"active", {{"share", short_number(layer.active.share)}, {"r2", short_numbers(layer.active.r2)}}}};
  if (layer.surrogate)
    data["surrogate"] = {{"error", short_number(layer.surrogate->error)},
                         {"bound", short_number(layer.surrogate->bound)}};
  return data;
}

/// The change of the loss with a layer truncated.
Json losses_of(const TruncatedLayer& layer) {
  std::vector<double> change, low, high, flip_p;
  for (const auto& interval : layer.change) {
    change.push_back(interval.mean), low.push_back(interval.low), high.push_back(interval.high);
    flip_p.push_back(interval.flip_p);
  }
  return {{"layer", layer.layer},
          {"k", layer.k},
          {"values", short_numbers(change)},
          {"low", short_numbers(low)},
          {"high", short_numbers(high)},
          {"flip_p", short_numbers(flip_p)}};
}

/// A piece as it reads in a text.
std::string readable(std::string piece) {
  for (const auto& [shown, text] :
       {std::pair("▁", " "), std::pair("<0x0A>", "↵"), std::pair("<0x09>", "⇥")}) {
    for (size_t at = 0; (at = piece.find(shown, at)) != std::string::npos; at += std::strlen(text))
      piece.replace(at, std::strlen(shown), text);
  }
  return piece;
}

}  // namespace

std::unique_ptr<Corpus> Corpus::read(const std::filesystem::path& decomposition) {
  auto study = read_corpus_study(decomposition);
  if (!study) return nullptr;
  std::unique_ptr<Corpus> corpus(new Corpus(std::move(*study)));
  for (const auto& piece : corpus->study_.names) corpus->vocabulary_.push_back(readable(piece));
  return corpus;
}

Json Corpus::summary() const {
  Json layers = Json::array(), losses = Json::array();
  for (const auto& layer : study_.summaries) layers.push_back(summary_of(layer));
  if (study_.losses)
    for (const auto& layer : study_.losses->layers) losses.push_back(losses_of(layer));
  return {{"data", study_.data},
          {"tokens", study_.tokens},
          {"quantiles", short_numbers(study_.quantiles)},
          {"window", study_.window},
          {"sample", study_.sample.numel()},
          {"layers", layers},
          {"loss", study_.losses ? Json({{"tokens", study_.losses->tokens},
                                         {"documents", study_.losses->documents},
                                         {"own", short_number(study_.losses->loss)}})
                                 : Json()},
          {"losses", losses}};
}

std::string Corpus::text(int64_t begin, int64_t end) const {
  const auto* ids = study_.ids.const_data_ptr<int32_t>();
  std::string all;
  for (int64_t i = begin; i < end; ++i) all += vocabulary_[static_cast<size_t>(ids[i])];
  return all;
}

/// @param places, projections [m], -1 beyond the last
Json Corpus::contexts(const at::Tensor& places, const at::Tensor& projections, int64_t count) const {
  const int64_t width = std::max<int64_t>(1, study_.window), tokens = study_.ids.size(0);
  Json list = Json::array();
  for (int64_t i = 0; i < std::min(count, places.size(0)); ++i) {
    const auto place = places[i].item<int64_t>();
    if (place < 0) break;
    const int64_t window = place / width * width;
    list.push_back({text(std::max(window, place - kBefore), place), text(place, place + 1),
                    text(place + 1, std::min({window + width, tokens, place + 1 + kAfter})),
                    short_number(projections[i].item<double>())});
  }
  return list;
}

Json Corpus::eigenpair(int64_t number, int64_t direction, int64_t index, int64_t max_contexts) const {
  const auto& layers = study_.layers;
  const auto found =
      std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return layer.layer == number; });
  if (found == layers.end()) return Json::object();
  const auto& layer = *found;
  if (direction >= layer.contribution_mean.size(0) || index >= layer.contribution_mean.size(1)) {
    throw Error(ExitCode::kBadInput,
                {"corpus.safetensors: layer " + std::to_string(number),
                 "as many directions and eigenpairs as the layer has", "others", "Decompose again."});
  }
  const auto of = [&](const at::Tensor& tensor) { return tensor[direction][index]; };
  const auto number_of = [&](const at::Tensor& tensor) { return short_number(of(tensor).item<double>()); };
  const auto places = of(layer.context_places), projections = of(layer.context_projections);
  const auto edges = of(layer.edges), counts = of(layer.counts).to(at::kDouble).contiguous();
  const double* count = counts.const_data_ptr<double>();
  return {{"mean", number_of(layer.contribution_mean)},
          {"std", number_of(layer.contribution_std)},
          {"place_by_std", place_by_size(layer.contribution_std[direction], index)},
          {"contexts",
           {{"positive", contexts(places[0], projections[0], max_contexts)},
            {"negative", contexts(places[1], projections[1], max_contexts)},
            {"quantiles", contexts(of(layer.quantile_places), of(layer.quantile_projections),
                                   static_cast<int64_t>(study_.quantiles.size()))}}},
          {"histogram",
           {{"low", short_number(edges[0].item<double>())},
            {"high", short_number(edges[-1].item<double>())},
            {"counts", short_numbers({count, count + counts.numel()})}}}};
}

}  // namespace bilens::report
