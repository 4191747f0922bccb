#include "finetune_config.h"

#include <algorithm>

namespace bilens {

namespace {

/// A table's schema with the stage's name in front.
Json stage_schema(const std::string& kind, Json schema) {
  Json properties = {{"kind", choice_schema("Which stage.", {kind})}};
  properties.update(schema["properties"]);
  schema["properties"] = properties;
  schema["required"] = {"kind"};
  return schema;
}

Json settle_schema() {
  Json schema = typed_schema("object", "Train the model as it is after the stages before.");
  schema["properties"] = Json::object();
  schema["additionalProperties"] = false;
  return schema;
}

/// A list of objects with a "kind" each, or of kinds.
Stages read_stages(const Json& list, const std::string& where, std::vector<Problem>& problems) {
  Stages stages;
  const auto before = problems.size();
  const std::vector<std::string> kinds = {"widen", "calibrate", "anneal", "settle"};
  int64_t last = -1;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = where + "[" + std::to_string(i) + "]";
    const Json stage = list[i].is_string() ? Json::object({{"kind", list[i]}}) : list[i];
    const Json kind = stage.is_object() ? stage.value("kind", Json()) : Json();
    if (!check_value(kind, choice_schema("", kinds), key_path(path, "kind"), problems)) continue;
    const int64_t place = std::find(kinds.begin(), kinds.end(), kind.get<std::string>()) - kinds.begin();
    if (place <= last) {
      problems.push_back({path, "widen, calibrate, anneal, settle in this order, each at most once",
                          kind.get<std::string>() + " after " + kinds[static_cast<size_t>(last)], ""});
    }
    last = std::max(last, place);
    Json rest = stage;
    rest.erase("kind");
    if (place == 0) stages.widen = WidenConfig::fields().parse(rest, path, problems);
    if (place == 1) stages.calibrate = CalibrationConfig::fields().parse(rest, path, problems);
    if (place == 2) stages.anneal = AnnealConfig::fields().parse(rest, path, problems);
    if (place == 3) {
      check_keys(rest, {}, path, problems);
      stages.settle = true;
    }
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
  const auto add = [&](const char* kind, const Json& rest) {
    Json stage = {{"kind", kind}};
    stage.update(rest);
    list.push_back(stage);
  };
  if (stages.widen) add("widen", WidenConfig::fields().dump(*stages.widen));
  if (stages.calibrate) add("calibrate", CalibrationConfig::fields().dump(*stages.calibrate));
  if (stages.anneal) add("anneal", AnnealConfig::fields().dump(*stages.anneal));
  if (stages.settle) add("settle", Json::object());
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
    FieldTable<C> fields("Config of `bilens finetune`: a gated Llama-type checkpoint becomes bilinear.");
    const Json stage = {
        {"anyOf",
         {stage_schema("widen", WidenConfig::fields().schema()),
          stage_schema("calibrate", CalibrationConfig::fields().schema()),
          stage_schema("anneal", AnnealConfig::fields().schema()), stage_schema("settle", settle_schema()),
          typed_schema("string", "A stage's kind, its keys as they are by default.")}}};
    fields.integer("format_version", &C::format_version, "Of this file's format.", between(1, 1))
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
                     {"items", stage}},
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
