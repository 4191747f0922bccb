#include "bilens/records/image_record.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"
#include "study_files.h"

namespace bilens {

namespace {

/// Rows of the m images.
void require_rows(const at::Tensor& rows, int64_t m, const std::string& where) {
  require_between(rows, 0, m, where, "rows of the " + std::to_string(m) + " images");
}

void require_curve(const TruncationRecord& curve, const std::string& where) {
  const auto n = curve.k.size();
  const bool fits =
      curve.accuracy.size() == n && curve.loss.size() == n &&
      (!curve.validation || (curve.validation->accuracy.size() == n && curve.validation->loss.size() == n));
  if (fits) return;
  throw Error(ExitCode::kBadInput, {where, "as many accuracies and losses as k",
                                    std::to_string(curve.accuracy.size()) + " and " +
                                        std::to_string(curve.loss.size()) + " for " + std::to_string(n),
                                    "Write the file again."});
}

void read_examples(const SafetensorsFile& file, ImageStudy& study) {
  if (file.tensors().count("images") == 0) return;
  Dimensions sizes;
  ImageStudy::tensors().read(file, "", study, sizes);
  for (auto& layer : study.importance) {
    const std::string prefix = layer_prefix(layer.layer);
    if (file.tensors().count(prefix + "examples.positive") == 0) continue;
    Dimensions of_layer;
    if (layer.mean_contribution.defined()) of_layer["n"] = layer.mean_contribution.size(0);
    Importance::tensors().read(file, prefix, layer, of_layer);
    const std::string where = file.path().string() + ": " + prefix + "examples.";
    require_rows(layer.positive_examples, study.images.size(0), where + "positive");
    require_rows(layer.negative_examples, study.images.size(0), where + "negative");
  }
}

}  // namespace

const RecordTable<ImageEvaluation>& ImageEvaluation::record() {
  using R = ImageEvaluation;
  static const auto table =
      RecordTable<R>()
          .field("examples", &R::examples, "How many images.", "images")
          .field("loss", &R::loss, "Mean cross-entropy.", "nats an image")
          .field("accuracy", &R::accuracy, "Share of images whose largest logit is the label's.");
  return table;
}

const RecordTable<StudiedImages>& StudiedImages::record() {
  using R = StudiedImages;
  static const auto table = RecordTable<R>()
                                .field("dataset", &R::dataset, "Name of the images.")
                                .field("split", &R::split, "Which part of them: `test`.")
                                .field("examples", &R::examples, "How many images.", "images");
  return table;
}

const RecordTable<TruncationRecord::Validation>& TruncationRecord::Validation::record() {
  using R = TruncationRecord::Validation;
  static const auto table = RecordTable<R>()
                                .field("accuracy", &R::accuracy, "For each k, on the validation images.")
                                .field("loss", &R::loss, "Likewise.", "nats an image");
  return table;
}

const RecordTable<TruncationRecord::Chosen>& TruncationRecord::Chosen::record() {
  using R = TruncationRecord::Chosen;
  static const auto table =
      RecordTable<R>()
          .field("k", &R::k,
                 "The smallest k whose accuracy is within .01 of the whole model's (`validation` or "
                 "`evaluation`) on the images of `split`.")
          .field("split", &R::split, "The images that it was chosen on: `validation` or `test`.");
  return table;
}

const RecordTable<TruncationRecord>& TruncationRecord::record() {
  using R = TruncationRecord;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .field("k", &R::k, "Numbers of eigenpairs that were kept for each class.")
          .field("accuracy", &R::accuracy, "For each k, on the test images.")
          .field("loss", &R::loss, "Likewise.", "nats an image")
          .field("validation", &R::validation, "The same on the validation images that the run kept back.")
          .field("chosen", &R::chosen, "The k that suffices; null where none does.");
  return table;
}

const RecordTable<Exactness>& Exactness::record() {
  using R = Exactness;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .field("relative_error", &R::relative_error,
                 "‖error‖/‖outputs‖ of the outputs rebuilt from the eigenpairs and the linear part.")
          .field("max_error", &R::max_error, "The largest error.");
  return table;
}

const RecordTable<Importance>& Importance::record() {
  using R = Importance;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .field("mean_contribution", &R::mean_contribution, "[n][k], mean of λp² over images.")
          .added_later()
          .field("std_contribution", &R::std_contribution, "[n][k], its standard deviation.")
          .added_later()
          .field("data_r2", &R::data_r2,
                 "[n][k], R² of the first eigenpairs with the linear part, nothing refitted; null where the "
                 "output is constant up to rounding.")
          .added_later()
          .field("linear_share", &R::linear_share,
                 "[n], variance of the linear part over that of the output; null likewise.")
          .added_later();
  return table;
}

const TensorTable<Importance>& Importance::tensors() {
  using R = Importance;
  static const auto table =
      TensorTable<R>()
          .tensor("examples.positive", &R::positive_examples, "n, s, e", StoredAs::kInt32,
                  "rows of `images` with the largest projection p = v·x, of the first s = min(k, 24) "
                  "eigenvectors")
          .tensor("examples.negative", &R::negative_examples, "n, s, e", StoredAs::kInt32,
                  "rows of `images` with the most negative projection")
          .tensor("projections.positive", &R::positive_projections, "n, s, e", StoredAs::kFloat64,
                  "those projections")
          .tensor("projections.negative", &R::negative_projections, "n, s, e", StoredAs::kFloat64,
                  "those projections");
  return table;
}

const RecordTable<Reconstruction>& Reconstruction::record() {
  using R = Reconstruction;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .field("data_r2", &R::data_r2,
                 "[n], R² of the outputs that the factors make; null where the output is constant up to "
                 "rounding.")
          .field("relative_error", &R::relative_error, "‖error‖/‖outputs‖ of these.")
          .field("accuracy", &R::accuracy,
                 "Accuracy of the classifier with them, where the layer's outputs are the logits.")
          .field("loss", &R::loss, "Likewise.", "nats an image");
  return table;
}

const RecordTable<ImageStudy>& ImageStudy::record() {
  using R = ImageStudy;
  static const auto table =
      RecordTable<R>()
          .field("data", &R::data, "The images.")
          .field("evaluation", &R::evaluation, "The whole model on the test images.")
          .field("validation", &R::validation, "The whole model on the validation images.")
          .field("truncation", &R::truncation, "Accuracy and loss with the first k eigenpairs alone.")
          .added_later()
          .field(
              "exactness", &R::exactness,
              "The layer's outputs beside those rebuilt from its eigenpairs. With `k=all` the error is the "
              "rounding; with fewer it is what they leave out.")
          .added_later()
          .field("layers", &R::importance, "What each eigenpair does.")
          .added_later()
          .field(
              "reconstruction", &R::reconstruction,
              "What is left of the layer when `joint` or `cp` factors stand in its place, nothing refitted.")
          .added_later();
  return table;
}

const TensorTable<ImageStudy>& ImageStudy::tensors() {
  using R = ImageStudy;
  static const auto table =
      TensorTable<R>()
          .tensor("images", &R::images, "m, height, width", StoredAs::kUint8, "the images shown")
          .optional()
          .tensor("labels", &R::labels, "m", StoredAs::kInt64, "their labels")
          .optional();
  return table;
}

void write_image_study(const std::filesystem::path& directory, const ImageStudy& study) {
  auto tensors = ImageStudy::tensors().write(study, "", {});
  for (const auto& layer : study.importance) {
    const auto more = Importance::tensors().write(layer, layer_prefix(layer.layer), {});
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  write_safetensors(directory / kStudyTensors, tensors, format_metadata(ImageStudy::kFormat));
  write_record_file(directory / kStudyFile, study);
}

std::optional<ImageStudy> read_image_study(const std::filesystem::path& directory) {
  const auto json = read_study_file(directory, ImageStudy::kFormat, false);
  if (json.is_null()) return std::nullopt;
  const std::string where = (directory / kStudyFile).string();
  auto study = read_record<ImageStudy>(json, where);
  for (size_t i = 0; i < study.truncation.size(); ++i)
    require_curve(study.truncation[i], where + ": truncation[" + std::to_string(i) + "]");
  const auto tensors = directory / kStudyTensors;
  if (std::filesystem::exists(tensors)) read_examples(SafetensorsFile(tensors), study);
  return study;
}

}  // namespace bilens
