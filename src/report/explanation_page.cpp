#include "bilens/report/explanation_page.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string>

#include "bilens/core/files.h"
#include "bilens/core/version.h"
#include "bilens/io/safetensors.h"
#include "bilens/records/image_explanation.h"
#include "bilens/tensor/shape.h"
#include "encode.h"
#include "image_pool.h"
#include "page.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// Pictures of eigenvectors for each class: as many as the page has room for.
constexpr int64_t kPictures[] = {1'000'000, 12, 6, 3, 1, 0};

/// explanation.json and its tensors.
struct Files {
  const ImageExplanationRecord& record;
  const SafetensorsFile& tensors;
  int64_t pixels;  // of the image
};

at::Tensor read_image(const SafetensorsFile& file) {
  ExplainedImage found;
  Dimensions dimensions;
  ExplainedImage::tensors().read(file, "", found, dimensions);
  if (found.image.numel() == 0) {
    throw Error(ExitCode::kBadInput, {file.path().string() + ": image", "a tensor that is not empty",
                                      describe_shape(found.image.sizes()), "Write the file again."});
  }
  return found.image.contiguous();
}

/// Throws what does not fit the rest of the file.
void refuse(const std::string& place, const std::string& expected, const std::string& found) {
  throw Error(ExitCode::kBadInput, {place, expected, found, "Write the file again."});
}

/// What the page computes with: the scale of the inputs, and classes that are counted from 0.
void check_explanation(const ImageExplanationRecord& record, const std::string& where) {
  const auto words = [](double number) { return Json(number).dump(); };
  if (!std::isfinite(record.pixel_mean)) refuse(where + ": pixel_mean", "a number", words(record.pixel_mean));
  if (!(std::isfinite(record.pixel_std) && record.pixel_std > 0))
    refuse(where + ": pixel_std", "a number, more than 0", words(record.pixel_std));
  const auto classes = static_cast<int64_t>(record.classes.size());
  for (int64_t i = 0; i < classes; ++i) {
    const int64_t number = record.classes[i].number;
    if (number != i)
      refuse(where + ": classes[" + std::to_string(i) + "].class", std::to_string(i), std::to_string(number));
  }
  if (record.prediction >= classes)
    refuse(where + ": prediction", "a number below " + std::to_string(classes),
           std::to_string(record.prediction));
}

Json term_data(const Files& files, const ExplanationTerm& term, const std::string& name, bool with_picture) {
  // Layer 0 sees the pixels where the embedding is folded into it; deeper layers see the model's own space.
  const bool sees_pixels = term.layer == 0 && files.record.input_space == InputSpace::kInput;
  ExplanationVector found;
  Dimensions dimensions;
  if (sees_pixels) dimensions["d_in"] = files.pixels;
  ExplanationVector::tensors().read(files.tensors, name, found, dimensions);
  require_finite(found.vector, files.tensors.path().string() + ": " + name);
  auto data = ExplanationTerm::record().write(term);
  data["entries"] = found.vector.numel();
  data["sees_pixels"] = sees_pixels;
  data["vector"] = with_picture ? report::quantised(found.vector) : Json();
  return data;
}

Json class_data(const Files& files, const LogitRecord& of_class, int64_t pictures) {
  Json terms = Json::array();
  for (const auto& term : of_class.terms) {
    const auto number = static_cast<int64_t>(terms.size());
    terms.push_back(
        term_data(files, term, ExplanationVector::name(of_class.number, number), number < pictures));
  }
  return {{"logit", of_class.logit},
          {"sum", of_class.sum},
          {"shared", of_class.shared},
          {"direct", of_class.direct},
          {"linear", of_class.linear},
          {"terms", terms},
          {"other", of_class.other_terms - of_class.shared}};
}

std::string render(const Files& files, const Json& image, int64_t pictures) {
  const auto& record = files.record;
  Json classes = Json::array();
  for (const auto& of_class : record.classes) classes.push_back(class_data(files, of_class, pictures));
  return report::render_page(
      "explanation", report::kExplanation,
      report::page_json({{"version", version()},
                         {"model", record.model},
                         {"input", record.input},
                         {"label", record.label ? Json(*record.label) : Json()},
                         {"prediction", record.prediction},
                         {"input_space", RecordValue<InputSpace>::write(record.input_space)},
                         {"center", RecordValue<std::optional<Center>>::write(record.center)},
                         {"pixel_mean", record.pixel_mean},
                         {"pixel_std", record.pixel_std},
                         {"image", image},
                         {"classes", classes}}));
}

}  // namespace

fs::path write_explanation_page(const fs::path& directory) {
  const fs::path file = directory / ImageExplanationRecord::kFile, out = directory / "explanation.html";
  const auto record = read_record_file<ImageExplanationRecord>(file);
  check_explanation(record, file.string());
  const SafetensorsFile tensors(directory / ImageExplanationRecord::kTensorFile);
  const auto image = read_image(tensors);
  report::ImagePool images;
  images.add(image);
  const Files files = {record, tensors, image.numel()};
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
