#include "bilens/records/image_explanation.h"

namespace bilens {

const RecordTable<LogitRecord>& LogitRecord::record() {
  using R = LogitRecord;
  static const auto table =
      RecordTable<R>()
          .field("class", &R::number, "Number of the class, from 0.")
          .natural()
          .field("logit", &R::logit, "The model's own logit, in float32.")
          .field("sum", &R::sum,
                 "The same in float64: `direct` + `linear` + the contributions of `terms` + `other_terms`.")
          .field(
              "shared", &R::shared,
              "With `center` \"mean\": the mean of the logits of all classes, the same for each class, and "
              "a part of `other_terms`.")
          .added_later()
          .field("direct", &R::direct, "Part of the residual path.")
          .field("linear", &R::linear, "Part of biases.")
          .field("terms", &R::terms, "The 12 terms of largest |λp²|, the largest first.")
          .field("other_terms", &R::other_terms, "Sum of everything that is not listed.");
  return table;
}

const RecordTable<ImageExplanationRecord>& ImageExplanationRecord::record() {
  using R = ImageExplanationRecord;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("input", &R::input, "The image, as `--input` names it.")
          .field("label", &R::label, "Class that the data give it; null where it is not known.")
          .natural()
          .field("image_shape", &R::image_shape, "Height and width of the image.", "pixels")
          .field("pixel_mean", &R::pixel_mean, "Mean that is subtracted from pixel/255.")
          .field("pixel_std", &R::pixel_std, "What the rest is divided by.")
          .field(
              "input_space", &R::input_space,
              "Space of the first layer that is explained. With \"input\" its x is the image: (pixel/255 - "
              "`pixel_mean`) / `pixel_std`.")
          .field("center", &R::center,
                 "\"mean\" where all but `shared` belongs to the logit above the mean of all classes; else "
                 "\"none\".")
          .added_later()
          .field("prediction", &R::prediction, "Class of the largest logit.")
          .natural()
          .field("classes", &R::classes, "The logit of each class as a sum.");
  return table;
}

const TensorTable<ExplainedImage>& ExplainedImage::tensors() {
  static const auto table = TensorTable<ExplainedImage>().tensor(
      "image", &ExplainedImage::image, "height, width", StoredAs::kUint8, "the image that is explained");
  return table;
}

std::string ExplanationVector::name(int64_t class_number, int64_t term) {
  return "class_" + std::to_string(class_number) + ".term_" + std::to_string(term);
}

const TensorTable<ExplanationVector>& ExplanationVector::tensors() {
  static const auto table =
      TensorTable<ExplanationVector>().tensor("", &ExplanationVector::vector, "d_in", StoredAs::kFloat32,
                                              "the eigenvector of entry I of `terms` of class C");
  return table;
}

}  // namespace bilens
