#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/factors/factors.h"
#include "bilens/core/json.h"

namespace bilens {

/// One layer's part of a decomposition: for each direction u the form u·y = xᵀQx + l·x + c, Q by its
/// eigenpairs, or all Q together by other factors.
struct LayerDecomposition {
  std::string method = "eigen";
  int64_t layer = 0;
  int64_t d_in = 0, d_hidden = 0, d_out = 0;
  std::string dtype = "float32";
  std::string input_space = "model";  // "input": the embedding is folded in
  std::string directions_kind = "outputs";
  std::vector<std::string> direction_names;  // of tokens, one a direction; else none
  std::string output_is = "hidden";          // "logits": the directions are the head's rows
  std::string center = "none";
  std::optional<double> mean_energy_share;  // n‖Q̄‖² / Σ‖Q‖² of the directions before centring, Q̄ their mean
  at::Tensor directions;                    // [n, d_out]; undefined: the identity
  EigenPairs pairs;                         // with the methods "eigen" and "rotate"
  std::optional<Factors> factors;  // with all methods but "eigen"
  at::Tensor shift;                // [n] float64, tr Q/d; Q stands for Q − shift·I; or undefined
  at::Tensor linear, constant;     // [n, d_in], [n] float64; undefined without biases and residual

  int64_t count() const { return directions.defined() ? directions.size(0) : d_out; }
  bool has_pairs() const { return pairs.eigenvalues.defined(); }
};

/// "form": seconds, ... of the parts of a solution.
Json seconds_to_json(const EigenPairs::Seconds& seconds);
EigenPairs::Seconds seconds_from_json(const Json& json);

}  // namespace bilens
