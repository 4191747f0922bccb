#pragma once

#include "bilens/records/explanation_term.h"
#include "bilens/records/record_file.h"
#include "bilens/records/surrogate.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// A term with the tokens nearest to its eigenvector.
struct PromptTermRecord : ExplanationTerm {
  std::vector<std::vector<std::string>> nearest;  // of its positive and of its negative side

  static const RecordTable<PromptTermRecord>& record();
};

/// What one layer adds to a logit difference.
struct PromptLayer {
  int64_t layer = 0;
  double attention = 0;
  double eigenvectors = 0;           // Σ λ p² over all of them
  double linear = 0;                 // l·x + c: of biases
  double remainder = 0;              // of a gated layer: its output beyond P(½Wx ⊙ Vx)
  std::optional<double> output_rms;  // what a norm behind the MLP divides by

  static const RecordTable<PromptLayer>& record();
};

/// explanation.json of a prompt.
struct PromptExplanationRecord {
  static constexpr RecordFormat kFormat = {"bilens-prompt-explanation", 1};
  static constexpr const char* kFile = "explanation.json";
  static constexpr const char* kTensorFile = "explanation.safetensors";

  std::string model;
  std::optional<SurrogateRecord> surrogate;
  std::string prompt;
  std::vector<std::string> tokens;
  std::string token;
  std::optional<std::string> minus;
  double logit = 0, sum = 0, embedding = 0, rms = 0;
  std::optional<double> soft_cap;
  std::vector<PromptLayer> layers;
  std::vector<PromptTermRecord> terms;
  double other_terms = 0;

  static const RecordTable<PromptExplanationRecord>& record();
};

/// The eigenvector of one term in explanation.safetensors.
struct PromptVector {
  at::Tensor vector;

  static std::string name(int64_t term);
  static const TensorTable<PromptVector>& tensors();
};

}  // namespace bilens
