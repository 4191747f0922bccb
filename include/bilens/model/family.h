#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bilens/model/architecture.h"
#include "bilens/model/decoder_config.h"
#include "bilens/model/foreign_classifier.h"
#include "bilens/model/mlp_names.h"

namespace bilens {

/// A decoder that another program stored in its own way, under our names.
struct ForeignDecoder {
  DecoderConfig config;
  NamedTensors parameters;       // in the order of config.parameter_shapes()
  std::vector<Weights> sources;  // what it was read from; at least one
};

/// One kind of model that others train and publish, and all that is particular to it. Each stands in a file
/// of src/model/families; nobody else names one. What a family does not have is null or empty.
struct Family {
  std::string name;

  // As Hugging Face stores it.
  std::vector<std::string> types = {};  // model_type in config.json
  std::string architecture = {};        // the class in transformers that computes it
  std::string act_key = "hidden_act";   // the key of the MLPs' activation,
  std::string act = "silu";             // and what it is without that key; "": not known
  std::string other_act_key = {};       // the key that other versions of transformers read; "": none
  bool gelu_is_tanh = false;            // "gelu" means its approximation by tanh
  std::optional<MlpNorms> norms = {};   // around each MLP; nothing: not known
  /// Changes `norms` where the config asks for it.
  void (*refine_norms)(const Json& config, MlpNorms& norms) = nullptr;
  std::string before_attention = "input_layernorm", behind_attention = {};  // its norms; "": none

  // What follows is about its decoder, where that is computed here; elsewhere its MLPs alone are read.
  bool is_computed = false;
  /// Keys of DecoderConfig::architecture_fields() that mean nothing to it.
  std::vector<std::string> lacks = {};
  /// Defaults of keys that may be absent, where they differ from a Llama's.
  Json defaults = Json::object();
  /// Its own keys, beside those that it shares with a Llama; null: none.
  const FieldTable<DecoderConfig>& (*own_keys)() = nullptr;
  /// Reads and writes the keys of its rotary embedding; null: those of a Llama.
  void (*read_rope)(const Json& json, DecoderConfig& config, const std::string& where,
                    std::vector<Problem>& problems) = nullptr;
  void (*write_rope)(const DecoderConfig& config, Json& json) = nullptr;
  /// The model_types of which it is the text part: its keys stand in "text_config", and its tensors behind a
  /// prefix, which is left out, beside those of other parts, which are passed over.
  std::vector<std::string> part_of = {};
  std::vector<std::pair<std::string, std::string>> prefixes = {};
  std::vector<std::string> other_parts = {};
  /// Projections that it stores as one tensor: its name, and those of its parts.
  std::vector<std::pair<std::string, std::vector<std::string>>> fused = {};
  /// Fills in what follows from its keys, which are each right by itself.
  void (*complete)(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems) = nullptr;

  // By names of tensors.
  std::vector<MlpForm> forms = {};  // of its MLPs, where these are not the common ones
  bool told_by_names = false;       // no other family has such MLPs: they tell the norms, and
  std::string gate_by_names = {};   // the gate; "": not the gate

  // As another program stores it.
  /// Whether a folder holds a model of this family, and none in Hugging Face's layout: read_decoder reads it.
  bool (*is_folder)(const std::filesystem::path& path) = nullptr;
  /// The file that stands for such a folder; "": none.
  std::string file_of_folder = {};
  /// The gate by a config.json that has this family's own keys; nothing where it has others.
  std::optional<std::string> (*gate_of_config)(const StoredModel& model) = nullptr;
  /// What a model without a telling config.json says of itself in this family's own way.
  std::optional<Architecture> (*describe)(const StoredModel& model) = nullptr;
  /// The config that a single file of weights holds, whose tensors have our names.
  std::optional<DecoderConfig> (*config_of_file)(const Weights& weights) = nullptr;
  /// Reads a decoder; nothing where the model is none of this family.
  std::optional<ForeignDecoder> (*read_decoder)(const StoredModel& model) = nullptr;
  /// Finds an image classifier, likewise.
  std::optional<ForeignClassifier> (*find_classifier)(const StoredModel& model) = nullptr;
  /// What to do with weights of this family that no command reads as they are; "" for others.
  std::string (*way_on)(const StoredModel& model) = nullptr;
};

/// All of them; where two could read a model, the first counts.
const std::vector<const Family*>& families();

/// The family with a model_type; null where none has it.
const Family* family_of_type(const std::string& type);

/// The family that is the text part of a model_type; null where none is.
const Family* text_part_of(const std::string& type);

/// The model_types whose decoders are computed here, but for those of which one is a part.
std::vector<std::string> decoder_types();

/// The family whose folder a path is (Family::is_folder); null where it is none.
const Family* family_of_folder(const std::filesystem::path& path);
bool is_foreign_folder(const std::filesystem::path& path);

/// The folder of a family that a file stands for; else the file itself.
std::filesystem::path whole_model_of(const std::filesystem::path& file);

/// Each by the first family that has something to say.
std::optional<DecoderConfig> decoder_config_of_file(const Weights& weights);
std::optional<ForeignDecoder> read_foreign_decoder(const StoredModel& model);
std::optional<ForeignClassifier> find_foreign_classifier(const StoredModel& model);
std::string way_on_with(const StoredModel& model);

}  // namespace bilens
