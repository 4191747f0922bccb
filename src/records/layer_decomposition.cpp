#include "bilens/records/layer_decomposition.h"

#include <ATen/ATen.h>

namespace bilens {

std::vector<std::pair<std::string, InputSpace>> record_names(InputSpace) {
  return {{"model", InputSpace::kModel}, {"input", InputSpace::kInput}};
}

std::vector<std::pair<std::string, OutputIs>> record_names(OutputIs) {
  return {{"hidden", OutputIs::kHidden}, {"logits", OutputIs::kLogits}};
}

std::vector<std::pair<std::string, Center>> record_names(Center) {
  return {{"none", Center::kNone}, {"mean", Center::kMean}};
}

std::vector<std::pair<std::string, DirectionKind>> record_names(DirectionKind) {
  using Kind = DirectionKind;
  return {{"outputs", Kind::kOutputs}, {"axes", Kind::kAxes},
          {"random", Kind::kRandom},   {"file", Kind::kFile},
          {"tokens", Kind::kTokens},   {"unembedding", Kind::kUnembedding},
          {"hosvd", Kind::kHosvd},     {"eigenvectors", Kind::kEigenvectors}};
}

const TensorTable<LayerDecomposition>& LayerDecomposition::tensors() {
  using L = LayerDecomposition;
  static const auto table =
      TensorTable<L>()
          .tensor("directions", &L::directions, "n, d_out", StoredAs::kRunDtype,
                  "the output directions u, centred when `center` is \"mean\"; absent when they are the "
                  "identity")
          .optional()
          .tensor("shift", &L::shift, "n", StoredAs::kFloat64,
                  "tr Q/d, only with `traceless`: everything else here is then of Q − (tr Q/d) I, which has "
                  "the eigenvectors of Q; add `shift` to an eigenvalue to get that of Q")
          .optional()
          .tensor("linear", &L::linear, "n, d_in", StoredAs::kFloat64,
                  "l: biases, and u·h of a residual; absent without either")
          .optional()
          .tensor("constant", &L::constant, "n", StoredAs::kFloat64, "c, likewise")
          .optional();
  return table;
}

const RecordTable<LayerRecord>& LayerRecord::record() {
  using R = LayerRecord;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer, from 0.")
          .natural()
          .field("file", &R::file, "Name of its file of tensors.")
          .field("method", &R::method,
                 "How the layer was decomposed, as in the config; `weighted` with `\"weighting\": \"data\"`.")
          .field("dtype", &R::dtype, "Dtype of `directions` and `eigenvectors`; every other real is float64.")
          .field("input_space", &R::input_space, "The space of the eigenvectors, see below.")
          .field("d_in", &R::d_in, "Dimension of that space.")
          .natural()
          .field("d_hidden", &R::d_hidden, "Hidden units of the layer.")
          .natural()
          .field("d_out", &R::d_out, "Dimension of the layer's output.")
          .natural()
          .field("directions", &R::directions, "Which directions of the output were decomposed.")
          .field("direction_names", &R::direction_names,
                 "For directions of tokens, one name a direction; it has the pieces as the tokenizer names "
                 "them, and `#17` without a tokenizer.")
          .null_if_empty()
          .field("output_is", &R::output_is, "What the output is along the directions.")
          .field("n_directions", &R::n_directions, "How many directions there are.")
          .natural()
          .field("center", &R::center, "What was subtracted from the directions.")
          .field("mean_energy_share", &R::mean_energy_share,
                 "n‖Q̄‖²/Σ‖Q_u‖² of the n directions before they are centred, see below.")
          .share()
          .field("has_linear", &R::has_linear, "Whether the forms have a linear part.")
          .part(&R::pairs)
          .field("seconds", &R::seconds, "What each part of the work took; other methods by their name.", "s")
          .not_negative()
          .field("unchanged", &R::unchanged,
                 "Directions that are rounding alone; only with `--minus` or `traceless`.")
          .natural()
          .omitted()
          .field("figures", &R::figures, "What another method found, see below; absent with `eigen`.")
          .omitted()
          .field("words", &R::words, "The same in one line.")
          .omitted();
  return table;
}

std::string layer_file_name(int64_t layer) { return "layer_" + std::to_string(layer) + ".safetensors"; }

LayerRecord to_record(const LayerDecomposition& l) {
  LayerRecord record;
  record.layer = l.layer;
  record.file = layer_file_name(l.layer);
  record.method = l.method();
  record.dtype = l.dtype;
  record.input_space = l.input_space;
  record.d_in = l.d_in, record.d_hidden = l.d_hidden, record.d_out = l.d_out;
  record.directions = l.directions_kind;
  record.direction_names = l.direction_names;
  record.output_is = l.output_is;
  record.n_directions = l.count();
  record.center = l.center;
  record.mean_energy_share = l.mean_energy_share;
  record.has_linear = l.linear.defined();
  if (l.has_pairs()) {
    record.pairs = PairsRecord(l.pairs);
    record.seconds = to_named(l.pairs.seconds);
    if (l.pairs.floor.defined()) record.unchanged = l.pairs.unchanged_directions().numel();
  }
  if (l.factors) {
    record.figures = l.factors->figures();
    record.words = l.factors->words;
    record.seconds.emplace_back(l.method(), l.factors->seconds);
  }
  return record;
}

}  // namespace bilens
