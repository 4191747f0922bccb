#include "corpus_data.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/tensor/shape.h"
#include "checked_json.h"

namespace bilens::report {

namespace {

constexpr int64_t kBefore = 12, kAfter = 4;  // tokens shown around a place

/// A layer's summary as the page takes it.
Json summary_of(const CheckedJson& layer) {
  Json result = {{"layer", layer.size("layer")}, {"directions", layer.size("directions")}};
  for (const char* key : {"quadratic", "linear", "constant", "form_r2"})
    result[key] = short_number(layer.number(key));
  for (const char* key : {"r2", "correlation"}) result[key] = short_numbers(layer.numbers(key));
  const auto active = layer.object("active");
  result["active"] = {{"share", short_number(active.number("share"))},
                      {"r2", short_numbers(active.numbers("r2"))}};
  if (layer.has("surrogate")) {
    const auto surrogate = layer.object("surrogate");
    result["surrogate"] = {{"error", short_number(surrogate.number("error"))},
                           {"bound", short_number(surrogate.number("bound"))}};
  }
  return result;
}

/// A SentencePiece piece as it reads in a text.
std::string readable(std::string piece) {
  const std::string space = "▁";
  for (size_t at = piece.find(space); at != std::string::npos; at = piece.find(space))
    piece.replace(at, space.size(), " ");
  return piece == "<0x0A>" ? "↵" : piece;
}

}  // namespace

std::unique_ptr<Corpus> Corpus::read(const std::filesystem::path& decomposition) {
  const auto path = decomposition / "corpus.json";
  if (!std::filesystem::exists(path)) return nullptr;
  const Json json = read_json(path, ExitCode::kBadInput);
  const CheckedJson about(json, path.string());
  about.require_format("bilens-corpus", 1);
  std::unique_ptr<Corpus> corpus(new Corpus(decomposition / "corpus.safetensors"));
  corpus->path_ = about.object("data").text_or_empty("path");
  corpus->window_ = std::max<int64_t>(1, about.size("window"));
  corpus->quantiles_ = about.numbers("quantiles");
  for (const auto& layer : about.objects("layers")) {
    corpus->layers_.push_back(layer.size("layer"));
    corpus->summaries_.push_back(summary_of(layer));
  }
  if (about.has("losses")) {
    for (const auto& layer : about.object("losses").objects("layers")) {
      std::vector<double> change;
      for (const auto& interval : layer.objects("change")) change.push_back(interval.number("mean"));
      const auto k = layer.numbers("k");
      if (k.empty() || k.size() != change.size())
        throw unfit(path.string() + ": losses", "a change for each k");
      corpus->losses_.push_back(
          {{"layer", layer.size("layer")}, {"k", k}, {"values", short_numbers(change)}});
    }
  }
  about.require("vocabulary", {{"type", "array"}, {"items", {{"type", "string"}}}});
  for (const auto& piece : json.at("vocabulary"))
    corpus->vocabulary_.push_back(readable(piece.get<std::string>()));
  const std::string where = corpus->tensors_.path().string() + ": tokens";
  corpus->ids_ = corpus->tensors_.tensor("tokens").to(at::kLong).contiguous();
  require_shape(corpus->ids_, {about.size("tokens")}, where);
  const auto known = static_cast<int64_t>(corpus->vocabulary_.size());
  const auto& ids = corpus->ids_;
  if (ids.numel() > 0 && (ids.min().item<int64_t>() < 0 || ids.max().item<int64_t>() >= known))
    throw unfit(where, "ids of the " + std::to_string(known) + " tokens");
  return corpus;
}

at::Tensor Corpus::tensor(int64_t layer, const std::string& name, at::IntArrayRef shape) const {
  const std::string full = "layer_" + std::to_string(layer) + "." + name;
  const auto found = tensors_.tensor(full);
  require_shape(found, shape, tensors_.path().string() + ": " + full);
  return found;
}

Json Corpus::summary() const {
  return {{"path", path_},
          {"tokens", ids_.size(0)},
          {"quantiles", short_numbers(quantiles_)},
          {"layers", summaries_},
          {"losses", losses_}};
}

std::string Corpus::text(int64_t begin, int64_t end) const {
  std::string all;
  for (int64_t i = begin; i < end; ++i) all += vocabulary_[ids_.const_data_ptr<int64_t>()[i]];
  return all;
}

/// @param places, projections [m], -1 beyond the last
Json Corpus::contexts(const at::Tensor& places, const at::Tensor& projections, int64_t count) const {
  Json list = Json::array();
  for (int64_t i = 0; i < std::min(count, places.size(0)); ++i) {
    const auto place = places[i].item<int64_t>();
    if (place < 0) break;
    if (place >= ids_.size(0))
      throw unfit(tensors_.path().string() + ": contexts.places", "places below the tokens");
    const int64_t window = place / window_ * window_;
    list.push_back({text(std::max(window, place - kBefore), place), text(place, place + 1),
                    text(place + 1, std::min({window + window_, ids_.size(0), place + 1 + kAfter})),
                    short_number(projections[i].item<double>())});
  }
  return list;
}

Json Corpus::eigenpair(int64_t layer, int64_t direction, int64_t index, int64_t max_contexts) const {
  if (std::find(layers_.begin(), layers_.end(), layer) == layers_.end()) return Json::object();
  const auto mean = tensor(layer, "contribution_mean", {-1, -1});
  const int64_t n = mean.size(0), k = mean.size(1);
  if (direction >= n || index >= k)
    throw unfit(tensors_.path().string(), "as many directions and eigenpairs as the layer has");
  const auto of = [&](const std::string& name, std::vector<int64_t> rest) {
    rest.insert(rest.begin(), {n, k});
    return tensor(layer, name, rest)[direction][index];
  };
  const auto places = of("contexts.places", {2, -1}), projections = of("contexts.projections", {2, -1});
  require_shape(projections, places.sizes(), tensors_.path().string() + ": contexts.projections");
  require_shape(of("quantiles.projections", {-1}), of("quantiles.places", {-1}).sizes(),
                tensors_.path().string() + ": quantiles.projections");
  const auto over_quantiles = contexts(of("quantiles.places", {-1}), of("quantiles.projections", {-1}),
                                       static_cast<int64_t>(quantiles_.size()));
  const auto edges = of("histogram.edges", {25}),
             counts = of("histogram.counts", {24}).to(at::kDouble).contiguous();
  const double* count = counts.const_data_ptr<double>();
  return {{"mean", short_number(mean[direction][index].item<double>())},
          {"std", short_number(of("contribution_std", {}).item<double>())},
          {"contexts",
           {{"positive", contexts(places[0], projections[0], max_contexts)},
            {"negative", contexts(places[1], projections[1], max_contexts)},
            {"quantiles", over_quantiles}}},
          {"histogram",
           {{"low", short_number(edges[0].item<double>())},
            {"high", short_number(edges[24].item<double>())},
            {"counts", short_numbers({count, count + 24})}}}};
}

}  // namespace bilens::report
