#include "bilens/report/explanation_page.h"

#include <ATen/ATen.h>

#include <string>

#include "bilens/core/fields.h"
#include "bilens/core/files.h"
#include "bilens/core/version.h"
#include "bilens/io/safetensors.h"
#include "bilens/tensor/shape.h"
#include "checked_json.h"
#include "encode.h"
#include "image_pool.h"
#include "page.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

using report::CheckedJson;

/// Pictures of eigenvectors for each class: as many as the page has room for.
constexpr int64_t kPictures[] = {1'000'000, 12, 6, 3, 1, 0};

/// explanation.json and its tensors.
struct Files {
  const CheckedJson& json;
  const SafetensorsFile& tensors;
  int64_t pixels;  // of the image
};

at::Tensor read_image(const SafetensorsFile& file) {
  const std::string name = file.path().string() + ": image";
  const auto image = file.tensor("image");
  require_shape(image, {-1, -1}, name);
  if (image.scalar_type() != at::kByte || image.numel() == 0) {
    throw Error(ExitCode::kBadInput,
                {name, "uint8, not empty",
                 c10::toString(image.scalar_type()) + (" " + describe_shape(image.sizes())), ""});
  }
  return image.contiguous();
}

Json term_data(const Files& files, const CheckedJson& term, const std::string& name, bool with_picture) {
  const int64_t layer = term.size("layer");
  // Layer 0 sees the pixels where the embedding is folded into it; deeper layers see the model's own space.
  const bool sees_pixels = layer == 0 && files.json.text("input_space") == "input";
  const auto vector = files.tensors.tensor(name).to(at::kDouble);
  const std::string where = files.tensors.path().string() + ": " + name;
  require_shape(vector, {sees_pixels ? files.pixels : -1}, where);
  require_finite(vector, where);
  return {{"layer", layer},
          {"index", term.size("index")},
          {"eigenvalue", term.number("eigenvalue")},
          {"projection", term.number("projection")},
          {"contribution", term.number("contribution")},
          {"entries", vector.numel()},
          {"sees_pixels", sees_pixels},
          {"vector", with_picture ? report::quantised(vector) : Json()}};
}

Json class_data(const Files& files, const CheckedJson& entry, size_t number, int64_t pictures) {
  if (entry.size("class") != static_cast<int64_t>(number)) {
    throw Error(ExitCode::kBadInput, {entry.where() + ".class", std::to_string(number),
                                      std::to_string(entry.size("class")), "Write the file again."});
  }
  Json terms = Json::array();
  for (const auto& term : entry.objects("terms")) {
    const std::string name = "class_" + std::to_string(number) + ".term_" + std::to_string(terms.size());
    terms.push_back(term_data(files, term, name, static_cast<int64_t>(terms.size()) < pictures));
  }
  const double shared = entry.has("shared") ? entry.number("shared") : 0.0;
  return {{"logit", entry.number("logit")},
          {"sum", entry.number("sum")},
          {"shared", shared},
          {"direct", entry.number("direct")},
          {"linear", entry.number("linear")},
          {"terms", terms},
          {"other", entry.number("other_terms") - shared}};
}

Json classes_data(const Files& files, int64_t pictures) {
  Json classes = Json::array();
  for (const auto& entry : files.json.objects("classes")) {
    classes.push_back(class_data(files, entry, classes.size(), pictures));
  }
  const int64_t prediction = files.json.size("prediction");
  if (prediction >= static_cast<int64_t>(classes.size())) {
    throw Error(ExitCode::kBadInput,
                {files.json.where() + ": prediction", "a number below " + std::to_string(classes.size()),
                 std::to_string(prediction), "Write the file again."});
  }
  return classes;
}

std::string render(const Files& files, const Json& image, int64_t pictures) {
  const auto& json = files.json;
  return report::render_page(
      "explanation", report::kExplanation,
      report::page_json({{"version", version()},
                         {"model", json.text_or_empty("model")},
                         {"input", json.text_or_empty("input")},
                         {"label", json.has("label") ? Json(json.size("label")) : Json()},
                         {"prediction", json.size("prediction")},
                         {"input_space", json.text("input_space")},
                         {"center", json.text_or_empty("center")},
                         {"pixel_mean", json.number("pixel_mean")},
                         {"pixel_std", json.number("pixel_std")},
                         {"image", image},
                         {"classes", classes_data(files, pictures)}}));
}

}  // namespace

fs::path write_explanation_page(const fs::path& directory) {
  const fs::path file = directory / "explanation.json", out = directory / "explanation.html";
  const Json json = read_json(file, ExitCode::kBadInput);
  const CheckedJson explanation(json, file.string());
  explanation.require_format("bilens-explanation", 1);
  explanation.require("input_space", choice_schema("", {"input", "model"}));
  explanation.require("pixel_mean", number_schema("", {}, ""));
  explanation.require("pixel_std", number_schema("", more_than(0.0), ""));
  const SafetensorsFile tensors(directory / "explanation.safetensors");
  const auto image = read_image(tensors);
  report::ImagePool images;
  images.add(image);
  const Files files = {explanation, tensors, image.numel()};
  for (const int64_t pictures : kPictures) {
    const std::string page = render(files, images.json().front(), pictures);
    if (page.size() > report::kMaxPageBytes) continue;
    write_text(out, page);
    return out;
  }
  throw Error(ExitCode::kFailure, {out.string(), "an explanation that fits on a page of 20 MB",
                                   std::to_string(image.numel()) + " pixels", ""});
}

}  // namespace bilens
