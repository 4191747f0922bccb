#include "finetune_config.h"

#include <algorithm>
#include <variant>

#include "bilens/core/kind_table.h"

namespace bilens {

namespace {

struct Settle {};

/// In the order in which they are done.
using Stage = std::variant<WidenConfig, CalibrationConfig, AnnealConfig, Settle>;

template <class C>
FieldTable<C> stage_table(const std::string& kind, const FieldTable<C>& keys) {
  return FieldTable<C>(keys.meaning()).constant("kind", kind, "Which stage.").all_of(keys);
}

const KindTable<Stage>& kinds_of_stages() {
  static const auto all =
      KindTable<Stage>("kind")
          .kind(stage_table("widen", WidenConfig::fields()))
          .kind(stage_table("calibrate", CalibrationConfig::fields()))
          .kind(stage_table("anneal", AnnealConfig::fields()))
          .kind(
              stage_table("settle", FieldTable<Settle>("Train the model as it is after the stages before.")));
  return all;
}

void put_stage(const WidenConfig& widen, Stages& stages) { stages.widen = widen; }
void put_stage(const CalibrationConfig& calibrate, Stages& stages) { stages.calibrate = calibrate; }
void put_stage(const AnnealConfig& anneal, Stages& stages) { stages.anneal = anneal; }
void put_stage(const Settle&, Stages& stages) { stages.settle = true; }

/// A list of objects with a "kind" each, or of kinds.
Stages read_stages(const Json& list, const std::string& where, std::vector<Problem>& problems) {
  Stages stages;
  const auto before = problems.size();
  std::optional<size_t> last;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = where + "[" + std::to_string(i) + "]";
    const auto stage = kinds_of_stages().read(list[i], path, problems);
    if (!stage) continue;
    const size_t place = stage->index();
    if (last && place <= *last) {
      const auto kinds = kinds_of_stages().words();
      problems.push_back({path, join(kinds) + " in this order, each at most once",
                          kinds[place] + " after " + kinds[*last], ""});
    }
    last = std::max(place, last.value_or(0));
    std::visit([&](const auto& config) { put_stage(config, stages); }, *stage);
  }
  if (stages.calibrate && stages.anneal) {
    problems.push_back({where, "calibrate or anneal", "both",
                        "A calibrated model is bilinear already: follow it by settle."});
  }
  if (!stages.calibrate && !stages.trains() && problems.size() == before) {
    problems.push_back({where, "calibrate, anneal or settle", list.empty() ? "none" : "widen alone",
                        "These make the model bilinear."});
  }
  return stages;
}

/// With all their defaults written out.
Json write_stages(const Stages& stages) {
  Json list = Json::array();
  const auto add = [&](const Stage& stage) { list.push_back(kinds_of_stages().write(stage)); };
  if (stages.widen) add(*stages.widen);
  if (stages.calibrate) add(*stages.calibrate);
  if (stages.anneal) add(*stages.anneal);
  if (stages.settle) add(Settle());
  return list;
}

}  // namespace

const FieldTable<WidenConfig>& WidenConfig::fields() {
  static const FieldTable<WidenConfig> table =
      FieldTable<WidenConfig>(
          "Gives each MLP more hidden units, which say nothing until they are fitted or trained.")
          .number("factor", &WidenConfig::factor, "How many times as many hidden units.", between(1.0, 64.0));
  return table;
}

Stages calibrate_and_settle() {
  Stages stages;
  stages.calibrate.emplace();
  stages.settle = true;
  return stages;
}

FinetuneRunConfig::FinetuneRunConfig() = default;

const FieldTable<FinetuneRunConfig>& FinetuneRunConfig::fields() {
  using C = FinetuneRunConfig;
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("Config of `bilens finetune`: a gated checkpoint becomes bilinear.");
    auto stage = kinds_of_stages().schemas();
    stage.push_back(typed_schema("string", "A stage's kind, its keys as they are by default."));
    fields.integer("format_version", &C::format_version, "Version of this file's format.", between(1, 1))
        .text("teacher", &C::teacher, "The checkpoint: a model directory or a llama2.c file.")
        .required()
        .text("teacher_sha256", &C::teacher_sha256,
              "SHA-256 that its weights must have (docs/formats.md); empty: any. A run's config.json has it.")
        .choice("teacher_dtype", &C::teacher_dtype,
                "What the teacher is held in beside the model; in bfloat16 it takes half of float32's "
                "memory, and its losses are "
                "those of the rounded weights.",
                {{"stored", std::optional<at::ScalarType>()},
                 {"float32", std::optional<at::ScalarType>(at::kFloat)},
                 {"bfloat16", std::optional<at::ScalarType>(at::kBFloat16)}})
        .nested("data", &C::data, TextDataConfig::fields())
        .custom("stages", &C::stages,
                Json{{"type", "array"},
                     {"description",
                      "What is done, in this order: \"widen\" the MLPs, \"calibrate\" in closed form, then "
                      "\"anneal\" and \"settle\", which share the steps of `train`. A string stands for its "
                      "kind."},
                     {"items", {{"anyOf", stage}}}},
                read_stages, write_stages)
        .choice("baseline", &C::baseline,
                "In place of the stages behind \"widen\": train the gated model on (\"continue\"), or the "
                "model with SiLU replaced by half the identity at once (\"cold\"), for as many steps.",
                {{"none", Baseline::kNone}, {"continue", Baseline::kContinue}, {"cold", Baseline::kCold}})
        .nested("train", &C::train, FinetuneTrainConfig::fields());
    return add_run_fields(fields);
  }();
  return table;
}

}  // namespace bilens
