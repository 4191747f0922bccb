#include "study_data.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

/// @param key "evaluation" or "validation"
Json evaluation(const CheckedJson& study, const std::string& key) {
  if (!study.has(key)) return nullptr;
  const auto result = study.object(key);
  return {{"examples", result.size("examples")},
          {"loss", short_number(result.number("loss"))},
          {"accuracy", short_number(result.number("accuracy"))}};
}

Json data(const CheckedJson& study) {
  if (!study.has("data")) return nullptr;
  const auto data = study.object("data");
  return {{"dataset", data.text_or_empty("dataset")},
          {"split", data.text_or_empty("split")},
          {"examples", data.has("examples") ? Json(data.size("examples")) : Json()}};
}

/// The k that suffices, and the images that it was chosen on; null where none does, or where an earlier
/// version wrote the file.
Json chosen(const CheckedJson& curve) {
  if (!curve.has("chosen")) return nullptr;
  const auto chosen = curve.object("chosen");
  return {{"k", chosen.size("k")}, {"split", chosen.text("split")}};
}

Json truncation(const CheckedJson& study) {
  Json curves = Json::array();
  if (!study.has("truncation")) return curves;
  for (const auto& curve : study.objects("truncation")) {
    const auto k = curve.numbers("k"), accuracy = curve.numbers("accuracy"), loss = curve.numbers("loss");
    if (k.size() != accuracy.size() || k.size() != loss.size()) {
      throw Error(ExitCode::kBadInput, {curve.where(), "as many accuracies and losses as k",
                                        std::to_string(accuracy.size()) + " and " +
                                            std::to_string(loss.size()) + " for " + std::to_string(k.size()),
                                        "Write the file again."});
    }
    curves.push_back({{"layer", curve.size("layer")},
                      {"k", short_numbers(k)},
                      {"accuracy", short_numbers(accuracy)},
                      {"loss", short_numbers(loss)},
                      {"chosen", chosen(curve)}});
  }
  return curves;
}

Json exactness(const CheckedJson& study) {
  Json statements = Json::array();
  if (!study.has("exactness")) return statements;
  for (const auto& entry : study.objects("exactness")) {
    statements.push_back({{"layer", entry.size("layer")},
                          {"relative_error", short_number(entry.number("relative_error"))},
                          {"max_error", short_number(entry.number("max_error"))}});
  }
  return statements;
}

/// Rows of the images: [n, k, e], each from 0 to m - 1.
at::Tensor image_rows(const SafetensorsFile& file, const std::string& name, int64_t n, int64_t m) {
  const std::string where = file.path().string() + ": " + name;
  const auto rows = file.tensor(name);
  require_shape(rows, {n, -1, -1}, where);
  const auto wide = rows.to(at::kLong).contiguous();
  if (wide.numel() > 0 && (wide.min().item<int64_t>() < 0 || wide.max().item<int64_t>() >= m)) {
    throw Error(ExitCode::kBadInput,
                {where, "rows of the " + std::to_string(m) + " images", "others", "Write the file again."});
  }
  return wide;
}

/// How much of the classifier is left when factors stand in a layer's place.
Json reconstruction(const CheckedJson& study) {
  Json list = Json::array();
  if (!study.has("reconstruction")) return list;
  for (const auto& entry : study.objects("reconstruction")) {
    list.push_back({{"layer", entry.size("layer")},
                    {"relative_error", short_number(entry.number("relative_error"))},
                    {"accuracy", entry.has("accuracy") ? short_number(entry.number("accuracy")) : Json()},
                    {"loss", entry.has("loss") ? short_number(entry.number("loss")) : Json()}});
  }
  return list;
}

}  // namespace

std::unique_ptr<Study> Study::read(const fs::path& decomposition) {
  const fs::path file = decomposition / "study.json";
  if (!fs::exists(file)) return nullptr;
  auto study = std::make_unique<Study>();
  study->json_ = read_json(file, ExitCode::kBadInput);
  study->where_ = file.string();
  CheckedJson(study->json_, study->where_).require_format("bilens-study", 1);
  const fs::path tensors = decomposition / "study.safetensors";
  if (fs::exists(tensors)) study->tensors_ = std::make_unique<SafetensorsFile>(tensors);
  return study;
}

Json Study::summary() const {
  const CheckedJson study(json_, where_);
  return {{"data", data(study)},
          {"evaluation", evaluation(study, "evaluation")},
          {"validation", evaluation(study, "validation")},
          {"truncation", truncation(study)},
          {"exactness", exactness(study)},
          {"reconstruction", reconstruction(study)}};
}

std::optional<LayerStudy> Study::layer(int64_t number, int64_t n, int64_t k) const {
  const CheckedJson study(json_, where_);
  LayerStudy layer;
  bool found = false;
  for (const auto& entry : study.has("layers") ? study.objects("layers") : std::vector<CheckedJson>()) {
    if (entry.size("layer") != number) continue;
    layer.read_numbers(entry, n, k);
    found = true;
  }
  const std::string prefix = "layer_" + std::to_string(number);
  if (tensors_ && tensors_->tensors().count(prefix + ".examples.positive") != 0) {
    layer.read_examples(*tensors_, prefix, n);
    found = true;
  }
  return found ? std::optional(std::move(layer)) : std::nullopt;
}

void LayerStudy::read_numbers(const CheckedJson& entry, int64_t n, int64_t k) {
  if (entry.has("mean_contribution")) mean_ = entry.matrix("mean_contribution", n, k);
  if (entry.has("std_contribution")) std_ = entry.matrix("std_contribution", n, k);
  if (entry.has("data_r2")) data_r2_ = entry.matrix("data_r2", n, k);
  if (entry.has("linear_share")) linear_share_ = entry.numbers("linear_share");
}

void LayerStudy::read_examples(const SafetensorsFile& file, const std::string& prefix, int64_t n) {
  const std::string path = file.path().string();
  images_ = file.tensor("images");
  require_shape(images_, {-1, -1, -1}, path + ": images");
  if (images_.scalar_type() != at::kByte) {
    throw Error(ExitCode::kBadInput, {path + ": images", "uint8", c10::toString(images_.scalar_type()), ""});
  }
  const int64_t m = images_.size(0);
  labels_ = file.tensor("labels").to(at::kLong).contiguous();
  require_shape(labels_, {m}, path + ": labels");
  const auto read = [&](const std::string& sign) -> Examples {
    const auto rows = image_rows(file, prefix + ".examples." + sign, n, m);
    const std::string name = prefix + ".projections." + sign;
    const auto projections = file.tensor(name);
    require_shape(projections, rows.sizes(), path + ": " + name);
    return {rows, projections.to(at::kDouble).contiguous()};
  };
  positive_ = read("positive");
  negative_ = read("negative");
}

Json LayerStudy::examples(const std::optional<Examples>& all, int64_t direction, int64_t index, int64_t count,
                          ImagePool& pool) const {
  // The study names images for the leading eigenvectors only.
  if (!all || index >= all->rows.size(1)) return nullptr;
  const int64_t e = all->rows.size(2), begin = (direction * all->rows.size(1) + index) * e;
  const int64_t* rows = all->rows.const_data_ptr<int64_t>() + begin;
  const double* projections = all->projections.const_data_ptr<double>() + begin;
  Json list = Json::array();
  for (int64_t i = 0; i < std::min(count, e); ++i) {
    list.push_back({{"image", pool.add(images_[rows[i]])},
                    {"label", labels_.const_data_ptr<int64_t>()[rows[i]]},
                    {"projection", short_number(projections[i])}});
  }
  return list;
}

Json LayerStudy::eigenpair(int64_t direction, int64_t index, int64_t max_examples, ImagePool& images) const {
  Json pair = {{"positive", examples(positive_, direction, index, max_examples, images)},
               {"negative", examples(negative_, direction, index, max_examples, images)}};
  const auto add = [&](const char* key, const std::vector<std::vector<double>>& matrix) {
    if (!matrix.empty()) pair[key] = short_number(matrix[direction][index]);
  };
  add("mean", mean_), add("std", std_), add("data_r2", data_r2_);
  return pair;
}

Json LayerStudy::linear_share(int64_t direction) const {
  return direction < static_cast<int64_t>(linear_share_.size()) ? short_number(linear_share_[direction])
                                                                : Json();
}

}  // namespace bilens::report
