#include "corpus_data.h"

#include <ATen/ATen.h>

#include "bilens/io/safetensors.h"
#include "bilens/tensor/shape.h"
#include "checked_json.h"

namespace bilens::report {

namespace {

/// Mean over directions [n, ...], those without a value left out.
Json mean_over_directions(const at::Tensor& values) {
  const auto means = values.nanmean(0).contiguous();
  const double* first = means.const_data_ptr<double>();
  return short_numbers({first, first + means.numel()});
}

Json layer(const SafetensorsFile& file, int64_t number) {
  const auto tensor = [&](const std::string& name, at::IntArrayRef shape) {
    const std::string full = "layer_" + std::to_string(number) + "." + name;
    const auto found = file.tensor(full);
    require_shape(found, shape, file.path().string() + ": " + full);
    return found.to(at::kDouble);
  };
  const auto r2 = tensor("r2", {-1, -1});
  const int64_t n = r2.size(0);
  const auto squares = tensor("part_square", {n, 3}).sum(0);
  const auto shares = (squares / squares.sum()).contiguous();
  const auto share = [&](int64_t part) { return short_number(shares.const_data_ptr<double>()[part]); };
  return {{"layer", number},
          {"directions", n},
          {"quadratic", share(0)},
          {"linear", share(1)},
          {"constant", share(2)},
          {"form_r2", mean_over_directions(tensor("form_r2", {n})).at(0)},
          {"r2", mean_over_directions(r2)},
          {"correlation", mean_over_directions(tensor("correlation", r2.sizes()))}};
}

}  // namespace

Json corpus_data(const std::filesystem::path& decomposition) {
  const auto path = decomposition / "corpus.json";
  if (!std::filesystem::exists(path)) return nullptr;
  const Json json = read_json(path, ExitCode::kBadInput);
  const CheckedJson corpus(json, path.string());
  corpus.require_format("bilens-corpus", 1);
  const SafetensorsFile tensors(decomposition / "corpus.safetensors");
  Json layers = Json::array();
  for (const double number : corpus.numbers("layers"))
    layers.push_back(layer(tensors, static_cast<int64_t>(number)));
  return {{"path", corpus.object("data").text_or_empty("path")},
          {"tokens", corpus.size("tokens")},
          {"layers", layers}};
}

}  // namespace bilens::report
