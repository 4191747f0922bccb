#include "families.h"
#include "meta_llama.h"

namespace bilens::family {

namespace {

/// A description that only Llamas have: Meta's params.json, or the arguments of llama2.c's training.
bool is_of_a_llama(const Json& arguments) {
  return arguments.is_object() && arguments.contains("dim") && arguments.contains("n_layers");
}

/// Hidden units of a Llama by Meta's rule: two thirds of 4 dim, times a factor, rounded up to a multiple.
int64_t hidden_units(const Json& arguments) {
  if (arguments.contains("hidden_dim") && arguments.at("hidden_dim").is_number_integer())
    return arguments.at("hidden_dim");
  const Json multiple = arguments.value("multiple_of", Json());
  if (!multiple.is_number_integer() || multiple < 1 || !arguments.at("dim").is_number_integer()) return 0;
  int64_t hidden = 2 * (4 * arguments.at("dim").get<int64_t>()) / 3;
  const Json factor = arguments.value("ffn_dim_multiplier", Json());
  if (factor.is_number()) hidden = static_cast<int64_t>(factor.get<double>() * static_cast<double>(hidden));
  const auto unit = multiple.get<int64_t>();
  return unit * ((hidden + unit - 1) / unit);
}

Architecture llama_with(const Json& arguments, const std::string& source) {
  Architecture found{native_decoder_type(), source, "silu", source, {{"hidden_size", arguments.at("dim")}}};
  if (const auto hidden = hidden_units(arguments); hidden > 0) found.config["intermediate_size"] = hidden;
  return found;
}

std::optional<Architecture> describe_meta(const StoredModel& model) {
  if (const Json& params = model.json("params.json"); is_of_a_llama(params))
    return llama_with(params, "params.json");
  const auto& arguments = model.weights().model_args();
  return is_of_a_llama(arguments) ? std::optional(llama_with(arguments, "the checkpoint's model_args"))
                                  : std::nullopt;
}

std::optional<ForeignDecoder> read_meta(const StoredModel& model) {
  if (!(is_meta_folder(model.path()) && !model.in_memory()) && !has_meta_names(model.weights()))
    return std::nullopt;
  const auto files = open_meta_files(model);
  const auto found = read_meta_llama(files);
  return ForeignDecoder{found.config, found.parameters, files.parts};
}

}  // namespace

const Family& meta() {
  static const Family family = {.name = "Llama in Meta's files",
                                .norms = MlpNorms{MlpNorms::Kind::kRms, "ffn_norm", false, false, "", ""},
                                .forms = {{"feed_forward.w1.weight", "feed_forward.w3.weight",
                                           "feed_forward.w2.weight", "feed_forward."}},
                                .told_by_names = true,
                                .gate_by_names = "silu",
                                .is_folder = is_meta_folder,
                                .describe = describe_meta,
                                .read_decoder = read_meta};
  return family;
}

}  // namespace bilens::family
