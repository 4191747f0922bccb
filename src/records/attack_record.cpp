#include "bilens/records/attack_record.h"

#include "study_files.h"

namespace bilens {

namespace {
constexpr const char* kLength = "pixel/255";
}  // namespace

const RecordTable<PerturbationSummary>& PerturbationSummary::record() {
  using R = PerturbationSummary;
  static const auto table =
      RecordTable<R>()
          .field("images", &R::images, "Images that the model gets right; the other keys are of these.",
                 "images")
          .natural()
          .field("exact", &R::exact, "Those whose two bounds differ by at most 1e-6 of the upper one.",
                 "images")
          .natural()
          .field("unreached", &R::unreached, "Those for which no change of the class was found.", "images")
          .natural()
          .field("median_lower", &R::median_lower, "Median of the proved bounds.", kLength)
          .not_negative()
          .field("median_upper", &R::median_upper,
                 "Median of the changes that were found; null where that is of none.", kLength)
          .field("largest_gap", &R::largest_gap,
                 "Largest (upper − lower)/upper of the images for which a change was found.");
  return table;
}

const RecordTable<AttackSummary>& AttackSummary::record() {
  using R = AttackSummary;
  static const auto table =
      RecordTable<R>()
          .field("steps", &R::steps, "Steps for each image.")
          .natural()
          .field("found", &R::found, "Rightly classified images whose class it changed.", "images")
          .natural()
          .field(
              "below_bound", &R::below_bound,
              "Changes that are shorter than the proved bound. Anything but 0 says that the bound is wrong.",
              "images")
          .natural()
          .field("median_ratio", &R::median_ratio,
                 "Median of the length of its change by that of the smallest change.");
  return table;
}

const RecordTable<RobustAccuracy>& RobustAccuracy::record() {
  using R = RobustAccuracy;
  static const auto table =
      RecordTable<R>()
          .field("length", &R::length, "Lengths of changes.", kLength)
          .field("lower", &R::lower,
                 "For each length, the share of images that are proved to keep their right class under every "
                 "change up to it.")
          .share()
          .field("upper", &R::upper, "The share of images for which no change up to it was found.")
          .share();
  return table;
}

std::vector<std::pair<std::string, MaskKind>> record_names(MaskKind) {
  return {{"eigenvector", MaskKind::kEigenvector},
          {"random", MaskKind::kRandom},
          {"edge", MaskKind::kEdge},
          {"random edge", MaskKind::kRandomEdge}};
}

const RecordTable<MaskEffect>& MaskEffect::record() {
  using R = MaskEffect;
  static const auto table =
      RecordTable<R>()
          .field("kind", &R::kind,
                 "`eigenvector`: duals of the classes' top eigenvectors; `random`: Gaussian; `edge`, `random "
                 "edge`: the same on the pixels alone that are dark in the training images.")
          .field("strength", &R::strength, "Root mean square of a mask over all pixels.", kLength)
          .not_negative()
          .field("accuracy", &R::accuracy,
                 "On the images of other classes than the mask's, of all masks together.")
          .share()
          .field("misclassified", &R::misclassified, "Share of these images that get the mask's class.")
          .share();
  return table;
}

const RecordTable<AttackRecord>& AttackRecord::record() {
  using R = AttackRecord;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("model_sha256", &R::model_sha256, "SHA-256 of its weights.")
          .field("version", &R::version, "Version of bilens.")
          .field("data", &R::data, "The images.")
          .field("evaluation", &R::evaluation, "The model on them as they are.")
          .field("smallest", &R::smallest, "The smallest changes that give another class.")
          .field("beyond_range", &R::beyond_range,
                 "Median over images of the share of such a change's squared length that is beyond [0, 1].")
          .share()
          .field("curve", &R::curve, "The robust accuracy by the length of changes.")
          .field("gradient", &R::gradient, "What an attack by gradients finds; null where none was made.")
          .field(
              "bounded", &R::bounded,
              "The smallest changes that keep all pixels in [0, 1], of the first images; null without any.")
          .field("bounded_curve", &R::bounded_curve, "Their robust accuracy.")
          .field("masks", &R::masks, "What masks do that are added to all images.");
  return table;
}

const TensorTable<AttackRecord>& AttackRecord::tensors() {
  using R = AttackRecord;
  static const auto table =
      TensorTable<R>()
          .tensor("labels", &R::labels, "N", StoredAs::kInt64, "labels of the images")
          .tensor("prediction", &R::prediction, "N", StoredAs::kInt64, "the model's classes, in float64")
          .tensor("other", &R::other, "N", StoredAs::kInt64,
                  "the classes that the smallest changes give; −1 where none was found")
          .tensor("lower", &R::lower, "N", StoredAs::kFloat64,
                  "no change of the image that is shorter alters its class")
          .tensor("upper", &R::upper, "N", StoredAs::kFloat64, "length of a change that does; ∞ without one")
          .tensor("gradient_length", &R::gradient_length, "N", StoredAs::kFloat64,
                  "length of the change that the attack by gradients found; ∞ where it found none")
          .optional()
          .tensor("bounded_lower", &R::bounded_lower, "M", StoredAs::kFloat64,
                  "`lower` for changes that keep all pixels in [0, 1], of the first M images")
          .optional()
          .tensor("bounded_upper", &R::bounded_upper, "M", StoredAs::kFloat64, "`upper` for these")
          .optional()
          .tensor("shown", &R::shown, "s", StoredAs::kInt64, "numbers of the images shown")
          .tensor("images", &R::images, "s, height, width", StoredAs::kUint8, "these images")
          .tensor("changes", &R::changes, "s, height, width", StoredAs::kFloat32, "their smallest changes")
          .tensor("masks", &R::mask_pictures, "classes, height, width", StoredAs::kFloat32,
                  "the first mask of each class, of unit norm")
          .optional();
  return table;
}

void write_attack(const std::filesystem::path& directory, const AttackRecord& attack) {
  write_safetensors(directory / AttackRecord::kTensorFile, AttackRecord::tensors().write(attack, "", {}),
                    format_metadata(AttackRecord::kFormat));
  write_record_file(directory / AttackRecord::kFile, attack);
}

AttackRecord read_attack(const std::filesystem::path& directory) {
  auto attack = read_record_file<AttackRecord>(directory / AttackRecord::kFile);
  Dimensions sizes;
  const auto file = directory / AttackRecord::kTensorFile;
  AttackRecord::tensors().read(SafetensorsFile(file), "", attack, sizes);
  const auto n = attack.lower.numel();
  require_between(attack.shown, 0, n, file.string() + ": shown",
                  "numbers of the " + std::to_string(n) + " images");
  return attack;
}

}  // namespace bilens
