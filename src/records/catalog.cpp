#include "bilens/records/catalog.h"

#include "bilens/records/attack_record.h"
#include "bilens/records/calibration.h"
#include "bilens/records/conversion_account.h"
#include "bilens/records/corpus_record.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/document_losses.h"
#include "bilens/records/environment.h"
#include "bilens/records/estimate.h"
#include "bilens/records/image_explanation.h"
#include "bilens/records/image_record.h"
#include "bilens/records/layer_file.h"
#include "bilens/records/metrics.h"
#include "bilens/records/model_check.h"
#include "bilens/records/model_reference.h"
#include "bilens/records/optimizer_state.h"
#include "bilens/records/prompt_explanation.h"
#include "bilens/records/surrogate_units.h"
#include "bilens/records/token_record.h"
#include "bilens/records/training_result.h"
#include "bilens/records/training_state.h"

namespace bilens {

namespace {

constexpr const char* kOfLayer = "layer_N.";

template <class R>
std::vector<RecordField> keys_of() {
  return R::record().fields();
}

/// An object without a format of its own.
template <class R>
RecordFile object(const std::string& name) {
  return {name, std::nullopt, keys_of<R>(), {}};
}

template <class R>
RecordFile file(const std::string& name) {
  return {name, R::kFormat, keys_of<R>(), {}};
}

/// The tensors of a struct, as they are named where there are several of it.
template <class R>
std::vector<TensorField> tensors_of(const std::string& prefix = "") {
  auto fields = R::tensors().fields();
  for (auto& field : fields) field.name = prefix + field.name;
  return fields;
}

std::vector<TensorField> both(std::vector<TensorField> first, const std::vector<TensorField>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// The tensors of a struct that is kept of each parameter, NAME standing for the parameter.
template <class R>
std::vector<TensorField> state_of_parameters() {
  auto fields = R::tensors().fields();
  for (auto& field : fields) field.name = state_name(field.name, "NAME");
  return fields;
}

void add_run(std::vector<RecordFile>& files) {
  files.push_back(file<Environment>(Environment::kFile));
  files.push_back(object<StepMetrics>("metrics.jsonl of a step"));
  files.push_back(object<EvaluationMetrics>("metrics.jsonl of an evaluation"));
  files.push_back(object<SampleMetrics>("metrics.jsonl of a sample"));
  files.push_back(file<TrainingState>(TrainingState::kFile));
  files.push_back({kOptimizerFile,
                   std::nullopt,
                   {},
                   both(state_of_parameters<AdamWState>(), state_of_parameters<MuonState>())});
  files.push_back(object<ImageResult>("result of an image classifier"));
  files.push_back(object<TextResult>("result of a language model"));
  files.push_back(object<FinetuneResult>("result of a conversion"));
  files.push_back(object<RunFigures>("figures of a run"));
  files.push_back(object<Estimate>("estimate of a dry run"));
}

void add_conversion(std::vector<RecordFile>& files) {
  files.push_back(file<CalibrationRecord>(CalibrationRecord::kFile));
  files.push_back(file<ConversionRecord>(ConversionRecord::kFile));
  files.push_back(file<ConversionAccount>(ConversionAccount::kFile));
  files.push_back({DocumentLosses::kFile, DocumentLosses::kFormat, {}, tensors_of<DocumentLosses>()});
}

void add_decomposition(std::vector<RecordFile>& files) {
  files.push_back(file<DecompositionRecord>(kDecompositionFile));
  const std::string layer = "layer_N.safetensors";
  files.push_back(
      {layer, kLayerFormat, {}, both(tensors_of<LayerDecomposition>(), tensors_of<EigenPairs>())});
  for (const auto& factors : describe_factors()) {
    files.push_back({"figures of " + factors.method, std::nullopt, factors.figures, {}});
    files.push_back({layer + " of " + factors.method, std::nullopt, {}, factors.tensors});
  }
  files.push_back(object<LayerProgress>("layer_N.progress.json"));
  files.push_back({SurrogateUnits::kFile, SurrogateUnits::kFormat, {}, tensors_of<SurrogateUnits>(kOfLayer)});
}

void add_studies(std::vector<RecordFile>& files) {
  files.push_back(file<ImageStudy>("study.json of images"));
  files.push_back({"study.safetensors of images",
                   ImageStudy::kFormat,
                   {},
                   both(tensors_of<ImageStudy>(), tensors_of<Importance>(kOfLayer))});
  files.push_back(file<TokenStudy>("study.json of tokens"));
  files.push_back({"study.safetensors of tokens",
                   TokenStudy::kFormat,
                   {},
                   both(tensors_of<TokenStudy>(), tensors_of<TokenLayer>(kOfLayer))});
  files.push_back(file<CorpusStudy>("corpus.json"));
  files.push_back({"corpus.safetensors",
                   CorpusStudy::kFormat,
                   {},
                   both(tensors_of<CorpusStudy>(), tensors_of<CorpusLayer>(kOfLayer))});
}

void add_explanations(std::vector<RecordFile>& files) {
  files.push_back(file<ImageExplanationRecord>("explanation.json of an image"));
  files.push_back({"explanation.safetensors of an image",
                   ImageExplanationRecord::kFormat,
                   {},
                   both(tensors_of<ExplainedImage>(), tensors_of<ExplanationVector>("class_C.term_I"))});
  files.push_back(file<PromptExplanationRecord>("explanation.json of a prompt"));
  files.push_back({"explanation.safetensors of a prompt",
                   PromptExplanationRecord::kFormat,
                   {},
                   tensors_of<PromptVector>("term_I")});
}

void add_attacks(std::vector<RecordFile>& files) {
  files.push_back(file<AttackRecord>(AttackRecord::kFile));
  files.push_back({AttackRecord::kTensorFile, AttackRecord::kFormat, {}, tensors_of<AttackRecord>()});
}

void add_checks(std::vector<RecordFile>& files) {
  files.push_back(file<ModelCheck>(ModelCheck::kFile));
  files.push_back({"reference.safetensors", ModelReference::kFormat, keys_of<ModelReference>(),
                   both(tensors_of<ModelReference>(), tensors_of<ReferencePass>("DTYPE."))});
}

Json describe_keys(const std::vector<RecordField>& fields) {
  Json keys = Json::array();
  for (const auto& field : fields) {
    Json key = {{"name", field.name},
                {"type", field.type},
                {"unit", field.unit},
                {"meaning", field.meaning},
                {"added_later", field.added_later}};
    if (!field.fields.empty()) key["keys"] = describe_keys(field.fields);
    keys.push_back(std::move(key));
  }
  return keys;
}

Json describe_tensors(const std::vector<TensorField>& fields) {
  Json tensors = Json::array();
  for (const auto& field : fields) {
    tensors.push_back({{"name", field.name},
                       {"shape", field.shape},
                       {"dtype", stored_name(field.stored)},
                       {"meaning", field.meaning},
                       {"optional", field.optional}});
  }
  return tensors;
}

}  // namespace

std::vector<RecordFile> record_files() {
  std::vector<RecordFile> files;
  add_run(files);
  add_conversion(files);
  add_decomposition(files);
  add_studies(files);
  add_explanations(files);
  add_attacks(files);
  add_checks(files);
  return files;
}

Json describe_files(const std::vector<RecordFile>& files) {
  Json described = Json::array();
  for (const auto& file : files) {
    Json entry = {{"file", file.name}};
    if (file.format) {
      entry["format"] = file.format->name;
      entry["format_version"] = file.format->version;
    }
    if (!file.keys.empty()) entry["keys"] = describe_keys(file.keys);
    if (!file.tensors.empty()) entry["tensors"] = describe_tensors(file.tensors);
    described.push_back(std::move(entry));
  }
  return {{"files", described}};
}

}  // namespace bilens
