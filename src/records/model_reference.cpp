#include "bilens/records/model_reference.h"

#include <ATen/ATen.h>

#include "bilens/tensor/shape.h"

namespace bilens {

namespace {
constexpr const char* kMakeAgain = "Make it again with scripts/make_reference.py.";
}  // namespace

const TensorTable<ReferencePass>& ReferencePass::tensors() {
  using R = ReferencePass;
  static const auto table =
      TensorTable<R>()
          .tensor("states", &R::states, "n_layers + 1, rows, targets + 1, d", StoredAs::kFloat32,
                  "the residual stream in front of each layer and, last, behind the last norm")
          .tensor("logits", &R::logits, "rows, kept, vocabulary", StoredAs::kFloat32,
                  "logits of the last tokens of each row, as many as stay within 2²⁴ numbers in all")
          .tensor("losses", &R::losses, "rows, targets", StoredAs::kFloat32,
                  "−log of each token's probability, of all but the first, in nats");
  return table;
}

std::string ReferencePass::not_finite() const {
  std::string found;
  tensors().each(*this, [&](const TensorField& field, const at::Tensor& tensor) {
    const auto where = at::isfinite(tensor).logical_not().nonzero();
    if (!found.empty() || where.size(0) == 0) return;
    const auto first = where[0].contiguous();
    const std::vector<int64_t> index(first.data_ptr<int64_t>(), first.data_ptr<int64_t>() + first.numel());
    found = field.name + ", " + std::to_string(where.size(0)) + " of them, first at " +
            describe_shape(index) + " of [" + field.shape + "]";
  });
  return found;
}

const RecordTable<ModelReference>& ModelReference::record() {
  using R = ModelReference;
  static const auto table =
      RecordTable<R>()
          .field("model", &R::model, "Path of the model.")
          .field("model_sha256", &R::model_sha256,
                 "SHA-256 of its weights; of several files, of their `sha256sum` listing.")
          .field("dtype", &R::dtype, "Dtype of the checkpoint.")
          .field("transformers", &R::transformers, "Version of transformers.")
          .field("torch", &R::torch, "Version of torch.")
          .field("model_class", &R::model_class, "The class of transformers that computed it.")
          .field("tokenizer_class", &R::tokenizer_class, "Its class of the tokenizer.")
          .field("tokenizer_problem", &R::tokenizer_problem, "Why no text is tokenized.");
  return table;
}

const TensorTable<ModelReference>& ModelReference::tensors() {
  using R = ModelReference;
  static const auto table =
      TensorTable<R>()
          .tensor("tokens", &R::tokens, "rows, targets + 1", StoredAs::kInt64, "what the model was given")
          .tensor("text", &R::text, "bytes", StoredAs::kUint8, "the text that was tokenized, UTF-8")
          .optional()
          .tensor("text_ids", &R::text_ids, "ids", StoredAs::kInt64, "its ids by AutoTokenizer")
          .optional()
          .tensor("file_ids", &R::file_ids, "ids_of_file", StoredAs::kInt64,
                  "its ids by `tokenizer.json` alone, as the package tokenizers reads it")
          .optional();
  return table;
}

ModelReference read_model_reference(const std::filesystem::path& path, const std::string& sha256,
                                    const ReferenceSizes& sizes) {
  const SafetensorsFile file(path);
  const auto& metadata = file.metadata();
  if (!names_format(metadata, ModelReference::kFormat) ||
      metadata.value("format_version", Json()) != Json(std::to_string(ModelReference::kFormat.version))) {
    throw Error(ExitCode::kBadInput, {path.string(), "a reference of scripts/make_reference.py, version 1",
                                      "another file", kMakeAgain});
  }
  auto reference = read_record<ModelReference>(metadata, path.string());
  if (reference.model_sha256 != sha256) {
    throw Error(ExitCode::kBadInput, {path.string(), "a reference of weights with SHA-256 " + sha256,
                                      "one of " + reference.model + ", SHA-256 " + reference.model_sha256,
                                      "Make it of the weights that are to be checked."});
  }
  Dimensions dimensions = {{"n_layers", sizes.layers}, {"d", sizes.width}, {"vocabulary", sizes.vocabulary}};
  ModelReference::tensors().read(file, "", reference, dimensions);
  if (reference.tokens.size(0) < 1 || reference.tokens.size(1) < 2) {
    throw Error(ExitCode::kBadInput,
                {path.string() + ": tokens", "rows of at least 2 tokens", "none", kMakeAgain});
  }
  ReferencePass::tensors().read(file, "float32.", reference.float32, dimensions);
  if (dimensions.at("kept") > reference.tokens.size(1)) {
    throw Error(ExitCode::kBadInput, {path.string() + ": float32.logits", "logits of tokens in each row",
                                      std::to_string(dimensions.at("kept")) + " of more", kMakeAgain});
  }
  if (const auto found = reference.float32.not_finite(); !found.empty()) {
    throw Error(ExitCode::kBadInput,
                {path.string(), "finite numbers in float32", "NaN or infinity in " + found,
                 "Nothing can be compared with them. They are transformers' own, or the file is damaged: "
                 "look at what transformers computes, then make it again with scripts/make_reference.py."});
  }
  const std::string prefix = reference.dtype + ".";
  if (reference.dtype != "float32" && file.tensors().count(prefix + "states") != 0)
    ReferencePass::tensors().read(file, prefix, reference.stored.emplace(), dimensions);
  return reference;
}

}  // namespace bilens
