#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/eigen_pairs.h"
#include "bilens/records/factors.h"

namespace bilens {

/// The space of a layer's eigenvectors: the MLP's own input, or the model's input where the embedding is
/// folded in.
enum class InputSpace { kModel, kInput };
std::vector<std::pair<std::string, InputSpace>> record_names(InputSpace);

/// What a layer's output is along its directions: logits where they are the head's rows.
enum class OutputIs { kHidden, kLogits };
std::vector<std::pair<std::string, OutputIs>> record_names(OutputIs);

/// What was subtracted from the directions.
enum class Center { kNone, kMean };
std::vector<std::pair<std::string, Center>> record_names(Center);

/// Which output directions of a layer are decomposed.
enum class DirectionKind { kOutputs, kAxes, kRandom, kFile, kTokens, kUnembedding, kHosvd, kEigenvectors };
std::vector<std::pair<std::string, DirectionKind>> record_names(DirectionKind);

/// One layer's part of a decomposition: for each direction u the form u·y = xᵀQx + l·x + c, Q by its
/// eigenpairs, or all Q together by other factors.
struct LayerDecomposition {
  int64_t layer = 0;
  int64_t d_in = 0, d_hidden = 0, d_out = 0;
  at::ScalarType dtype = at::kFloat;  // of directions and eigenvectors
  InputSpace input_space = InputSpace::kModel;
  DirectionKind directions_kind = DirectionKind::kOutputs;
  std::vector<std::string> direction_names;  // of tokens, one a direction; else none
  OutputIs output_is = OutputIs::kHidden;
  Center center = Center::kNone;
  std::optional<double> mean_energy_share;  // n‖Q̄‖² / Σ‖Q‖² of the directions before centring, Q̄ their mean
  at::Tensor directions;                    // [n, d_out]; undefined: the identity
  EigenPairs pairs;                         // with the methods "eigen" and "rotate"
  std::optional<Factors> factors;  // with all methods but "eigen"
  at::Tensor shift;                // [n] float64, tr Q/d; Q stands for Q − shift·I; or undefined
  at::Tensor linear, constant;     // [n, d_in], [n] float64; undefined without biases and residual

  int64_t count() const { return directions.defined() ? directions.size(0) : d_out; }
  bool has_pairs() const { return pairs.eigenvalues.defined(); }
  std::string method() const { return factors ? factors->method() : kEigen; }
  Dimensions dimensions() const { return {{"n", count()}, {"d_in", d_in}, {"d_out", d_out}}; }

  /// All but those of its pairs and factors.
  static const TensorTable<LayerDecomposition>& tensors();
};

/// What decomposition.json says of a layer.
struct LayerRecord {
  int64_t layer = 0;
  std::string file, method;
  at::ScalarType dtype = at::kFloat;
  InputSpace input_space = InputSpace::kModel;
  int64_t d_in = 0, d_hidden = 0, d_out = 0;
  DirectionKind directions = DirectionKind::kOutputs;
  std::vector<std::string> direction_names;
  OutputIs output_is = OutputIs::kHidden;
  int64_t n_directions = 0;
  Center center = Center::kNone;
  std::optional<double> mean_energy_share;
  bool has_linear = false;
  std::optional<PairsRecord> pairs;
  NamedNumbers seconds;
  std::optional<int64_t> unchanged;
  std::optional<Json> figures;  // by the method's own table (factors.h)
  std::optional<std::string> words;

  static const RecordTable<LayerRecord>& record();
};

LayerRecord to_record(const LayerDecomposition& layer);

/// "layer_N.safetensors"
std::string layer_file_name(int64_t layer);

}  // namespace bilens
