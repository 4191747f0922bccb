#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/analysis/forms/bilinear_layer.h"
#include "bilens/model/decoder.h"
#include "bilens/records/prompt_explanation.h"

namespace bilens {

/// A term with its eigenvector.
struct PromptTerm : ExplanationTerm {
  at::Tensor vector;  // v [hidden_size] float64; of the 20 largest, else undefined
};

/// A difference of logits of the token that follows a prompt, as a sum: embedding + Σ over layers.
struct PromptExplanation {
  double logit = 0;                // as the model computes it, float32, in front of a cap
  double embedding = 0;            // of the prompt's last token
  double rms = 0;                  // of the last residual stream, by which the last norm divides
  std::optional<double> soft_cap;  // c of logits c tanh(z/c); what is explained is z
  std::vector<PromptLayer> layers;
  std::vector<PromptTerm> terms;  // all eigenvectors of all layers, by falling |contribution|

  double sum() const;
};

/// The residual stream at the last token is the embedding plus what each attention and each MLP adds, and
/// with r, its root mean square, given, the logit difference is linear in it: w·h, w = γ⊙(Hᵀd)/r. Along w,
/// divided by what a norm behind the MLP divides by, each bilinear MLP is the form xᵀQx + l·x + c, all of
/// whose eigenpairs are found. Memory beside the model:
/// a dense eigenproblem of hidden_size and one layer's weights in float64, the head in float32.
/// @param layers of the model by number, with their norms' gains folded in; of a gated model P(½Wx ⊙ Vx)
/// @param prompt at least one token @param difference d [vocab_size]
/// @throws Stopped
PromptExplanation explain_prompt(Decoder& model, const std::vector<BilinearLayer>& layers,
                                 const std::vector<int32_t>& prompt, const at::Tensor& difference);

/// The sum, its layers and its 20 largest terms in a record of the rest.
/// @param source the model, the prompt and the tokens
PromptExplanationRecord record_of(const PromptExplanation& explanation, PromptExplanationRecord source);

/// explanation.json, and explanation.safetensors with the vectors of the terms that are listed
/// (docs/formats.md). @param record of that explanation
void write_prompt_explanation(const std::filesystem::path& directory, const PromptExplanation& explanation,
                              const PromptExplanationRecord& record);

}  // namespace bilens
