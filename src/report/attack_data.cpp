#include "attack_data.h"

#include <ATen/ATen.h>

#include <filesystem>

#include "bilens/records/attack_record.h"
#include "encode.h"
#include "numbers.h"

namespace bilens::report {

namespace fs = std::filesystem;

namespace {

Json curve_data(const RobustAccuracy& curve) {
  return {{"length", short_numbers(curve.length)},
          {"lower", short_numbers(curve.lower)},
          {"upper", short_numbers(curve.upper)}};
}

Json bounds_data(const PerturbationSummary& bounds, const RobustAccuracy& curve) {
  return {{"images", bounds.images},
          {"exact", bounds.exact},
          {"unreached", bounds.unreached},
          {"median_lower", short_number(bounds.median_lower)},
          {"median_upper", short_number(bounds.median_upper)},
          {"largest_gap", short_number(bounds.largest_gap)},
          {"curve", curve_data(curve)}};
}

/// The images shown, each with its smallest change.
Json pictures(const AttackRecord& attack, ImagePool& images) {
  Json list = Json::array();
  for (int64_t i = 0; i < attack.shown.numel(); ++i) {
    const auto n = attack.shown[i].item<int64_t>();
    list.push_back({{"image", images.add(attack.images[i].contiguous())},
                    {"change", quantised(attack.changes[i].flatten())},
                    {"number", n},
                    {"prediction", attack.prediction[n].item<int64_t>()},
                    {"other", attack.other[n].item<int64_t>()},
                    {"length", short_number(attack.upper[n].item<double>())}});
  }
  return list;
}

Json mask_pictures(const AttackRecord& attack) {
  Json list = Json::array();
  if (!attack.mask_pictures.defined()) return list;
  for (const auto& mask : attack.mask_pictures.unbind()) list.push_back(quantised(mask.flatten()));
  return list;
}

Json data_of(const AttackRecord& attack, ImagePool& images) {
  Json data = {{"data", StudiedImages::record().write(attack.data)},
               {"accuracy", short_number(attack.evaluation.accuracy)},
               {"smallest", bounds_data(attack.smallest, attack.curve)},
               {"beyond_range", short_number(attack.beyond_range)},
               {"gradient", nullptr},
               {"bounded", nullptr},
               {"masks", RecordValue<std::vector<MaskEffect>>::write(attack.masks)},
               {"mask_pictures", mask_pictures(attack)},
               {"pictures", pictures(attack, images)}};
  data["shape"] = {attack.images.size(1), attack.images.size(2)};
  if (attack.gradient) data["gradient"] = AttackSummary::record().write(*attack.gradient);
  if (attack.bounded && attack.bounded_curve)
    data["bounded"] = bounds_data(*attack.bounded, *attack.bounded_curve);
  return data;
}

}  // namespace

Json attack_data(const Source& source, ImagePool& images) {
  std::string weights;
  for (const auto& beside : {source.decomposition, source.model, source.run}) {
    if (beside.empty()) continue;
    for (const auto& folder : {beside / "attack", beside}) {
      if (!fs::exists(folder / AttackRecord::kFile)) continue;
      const auto attack = read_attack(folder);
      if (weights.empty()) weights = weights_of(source);
      if (attack.model_sha256 == weights) return data_of(attack, images);
    }
  }
  return nullptr;
}

}  // namespace bilens::report
