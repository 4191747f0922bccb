#include "bilens/run/attack_run.h"

#include <cinttypes>
#include <cmath>

#include "bilens/core/files.h"
#include "bilens/core/locks.h"
#include "bilens/core/memory.h"
#include "bilens/core/text.h"
#include "bilens/core/version.h"
#include "bilens/model/model_directory.h"
#include "models/data_spec.h"
#include "models/model_arguments.h"

namespace bilens {

namespace {

std::string bounds_in_words(const std::string& what, const PerturbationSummary& s) {
  if (s.images == 0) return what + ": no image is classified rightly\n";
  std::string text = what + format(": %" PRId64 " images, median %.4f", s.images, s.median_lower);
  if (std::isnan(s.median_upper)) text += " proved, none found";
  if (s.median_upper > s.median_lower * (1 + 1e-4)) text += format(" to %.4f", s.median_upper);
  text += format(" (pixel/255); proved and found lengths agree to 1e-6 for %" PRId64, s.exact);
  if (s.unreached > 0) text += format(", no change was found for %" PRId64, s.unreached);
  return text + format("; largest gap %.1e\n", s.largest_gap);
}

std::string curve_in_words(const RobustAccuracy& curve) {
  std::string text = "robust accuracy, proved and not refuted:";
  const size_t every = std::max<size_t>(1, curve.length.size() / 8);
  for (size_t i = 0; i < curve.length.size(); i += every)
    text += format("  %.2f: %.1f–%.1f%%", curve.length[i], 100 * curve.lower[i], 100 * curve.upper[i]);
  return text + "\n";
}

std::string masks_in_words(const std::vector<MaskEffect>& masks) {
  std::string text = "mask          strength  accuracy  gets the mask's class\n";
  for (const auto& mask : masks) {
    text += format("%-12s %9.3g %8.1f%% %8.1f%%\n", record_name(mask.kind).c_str(), mask.strength,
                   100 * mask.accuracy, 100 * mask.misclassified);
  }
  return masks.empty() ? "" : text;
}

std::string in_words(const AttackRecord& attack) {
  std::string text = format("accuracy %.2f%% on %" PRId64 " images\n", 100 * attack.evaluation.accuracy,
                            attack.evaluation.examples);
  text += bounds_in_words("smallest change", attack.smallest);
  if (std::isfinite(attack.beyond_range))
    text += format("%.1f%% of such a change's squared length is beyond [0, 1], at the median\n",
                   100 * attack.beyond_range);
  text += curve_in_words(attack.curve);
  if (const auto& gradient = attack.gradient) {
    text += format("gradient attack, %" PRId64 " steps: %" PRId64
                   " images, at the median %.4f times the smallest "
                   "change; %" PRId64 " below the proved bound\n",
                   gradient->steps, gradient->found, gradient->median_ratio, gradient->below_bound);
  }
  if (attack.bounded) text += bounds_in_words("within [0, 1]", *attack.bounded);
  return text + masks_in_words(attack.masks);
}

void estimate_attack(const ImageDataset& data, const AttackRunConfig& config, const ClassifierConfig& model,
                     Outcome& outcome) {
  const int64_t all = data.test.size(), images = config.images > 0 ? std::min(config.images, all) : all;
  auto& estimate = outcome.estimate.emplace();
  // Inputs and steps in float64, and copies of both while the gradient attack runs.
  estimate.memory_bytes = peak_memory() + 12 * 8 * images * model.d_input;
  estimate.disk_bytes = config.shown * model.d_input * 5 + images * 8 * 6;
  estimate.seconds.reset();
}

}  // namespace

const FieldTable<AttackRunConfig>& AttackRunConfig::fields() {
  using C = AttackRunConfig;
  MaskConfig C::*const masks = &C::masks;
  static const FieldTable<C> table =
      FieldTable<C>("Config of `bilens attack`.")
          .integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
          .integer("images", &C::images, "The first ones of the test images; 0: all.", at_least(0), "images")
          .integer("bounded_images", &C::bounded_images,
                   "The first ones of these, whose changes are also bounded within [0, 1]; 0: none.",
                   at_least(0), "images")
          .integer("gradient_steps", &C::gradient_steps, "Steps of an attack by gradients; 0: none is made.",
                   between(0, 1e6), "steps")
          .integer("shown", &C::shown, "Images whose changes are kept as pictures.", between(0, 1000),
                   "images")
          .nested("masks", masks, MaskConfig::fields())
          .custom("device", &C::device, device_schema(), read_device, write_device)
          .integer("threads", &C::threads, "CPU threads; 0: one for each processor that may be used.",
                   between(0, kMostThreads), "threads");
  return table;
}

Outcome run_attack(const AttackRunOptions& options) {
  const auto config =
      AttackRunConfig::fields().parse_or_throw(options.config, options.where, ExitCode::kUsage);
  set_threads(config.threads);
  const StoredModel stored(find_model(options.model));
  auto model = load_classifier(stored, choose_device(config.device));
  const auto data_config = data_of_model(options.data, stored);
  if (!data_config) throw no_data(stored.path().string(), "images", "mnist-5k");
  const auto data = load_images_for(model->config, stored.path(), *data_config, seed_of_model(stored));
  Outcome outcome;
  if (options.dry_run) {
    one_layer_weights(model);
    estimate_attack(data, config, model->config, outcome);
    return outcome;
  }
  auto attack = attack_classifier(model, data, set_name(data_config->dataset), config);
  attack.model = stored.path().string();
  attack.model_sha256 = stored.weights().sha256();
  attack.version = version();
  outcome.text = in_words(attack);
  outcome.results.push_back(AttackRecord::record().write(attack));
  if (!options.out.empty()) {
    const DirectoryLock lock(options.out);
    write_attack(options.out, attack);
    outcome.text += (options.out / AttackRecord::kFile).string() + "\n";
  }
  return outcome;
}

}  // namespace bilens
