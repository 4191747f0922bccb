#include "bilens/study/prompt_explanation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/forms/interaction.h"
#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/io/safetensors.h"
#include "bilens/nn/gated_mlp.h"
#include "bilens/nn/rms_norm.h"

namespace bilens {

namespace {

constexpr size_t kListedTerms = 20;

bool larger(const PromptTerm& a, const PromptTerm& b) {
  return std::abs(a.contribution) > std::abs(b.contribution);
}

/// What stands at the last token around each layer, float64 on the CPU.
struct LastToken {
  at::Tensor embedding;                            // [d]
  std::vector<at::Tensor> attention, inputs, mlp;  // [d] each: added, the MLP's x before the gain, added
  std::vector<double> rms;                         // what the norm behind each MLP divides by; 1 without one
  at::Tensor end;                                  // [d] in front of the last norm
};

LastToken run(Decoder& model, const std::vector<int32_t>& prompt) {
  const auto& config = model.config();
  const auto device = model.parameters().front().second.device();
  const auto last = [](const at::Tensor& h) { return h[0][-1].to(at::kCPU, at::kDouble); };
  auto h =
      model.embed(at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end())).unsqueeze(0).to(device));
  LastToken found;
  found.embedding = last(h);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const auto& w = model.layer(i);
    const auto middle = model.add_attention(i, h);
    const auto y =
        gated_mlp(model.mlp_input(i, middle), {w.gate, w.up, w.down, w.gate_bias, w.up_bias, w.down_bias},
                  model.activation(i));
    const auto change = model.mlp_change(i, y);
    const auto rms = [&](const at::Tensor& x) {
      return (x.square().mean() + config.rms_norm_eps).sqrt().item<double>();
    };
    const auto at_last = last(middle);
    found.attention.push_back(at_last - last(h));
    found.inputs.push_back(w.mlp_norms.before.defined() ? at_last / rms(at_last) : at_last);
    found.mlp.push_back(last(change));
    found.rms.push_back(w.mlp_norms.behind.defined() ? rms(last(y)) : 1);
    h = middle + change;
  }
  found.end = last(h);
  return found;
}

}  // namespace

double PromptExplanation::sum() const {
  double total = embedding;
  for (const auto& l : layers) total += l.attention + l.eigenvectors + l.linear + l.remainder;
  return total;
}

PromptExplanation explain_prompt(Decoder& model, const std::vector<BilinearLayer>& layers,
                                 const std::vector<int32_t>& prompt, const at::Tensor& difference) {
  const at::NoGradGuard no_grad;
  const auto& config = model.config();
  const auto device = model.parameters().front().second.device();
  const auto found = run(model, prompt);
  PromptExplanation explanation;
  explanation.rms = (found.end.square().mean() + config.rms_norm_eps).sqrt().item<double>();
  const auto gain = model.final_gain().to(at::kCPU, at::kDouble);
  at::Tensor head;
  for (const auto& [name, weight] : model.parameters()) {
    if (name == (config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"))
      head = weight.to(at::kCPU);
  }
  const auto d = difference.to(at::kCPU, at::kDouble);
  const auto w = head.to(at::kFloat).t().mv(d.to(at::kFloat)).to(at::kDouble) * gain / explanation.rms;
  const auto state = (found.end / explanation.rms * gain).to(device, at::kFloat);
  explanation.soft_cap = config.final_logit_softcapping;
  explanation.logit =
      model.uncapped_logits(state.unsqueeze(0))[0].to(at::kCPU, at::kDouble).dot(d).item<double>();
  explanation.embedding = found.embedding.dot(w).item<double>();

  Progress progress("explain", config.num_hidden_layers, "layers");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    if (stop_requested()) throw Stopped{};
    const auto layer = layers.at(static_cast<size_t>(i)).to(at::kDouble, at::kCPU);
    const auto& x = found.inputs[i];
    const auto of_output = w / found.rms[i];
    PromptLayer of_layer;
    of_layer.layer = i;
    if (model.layer(i).mlp_norms.behind.defined()) of_layer.output_rms = found.rms[i];
    of_layer.attention = found.attention[i].dot(w).item<double>();
    if (layer.has_linear()) {
      const InteractionOperator form(layer, of_output.unsqueeze(0));
      of_layer.linear = (form.linear()[0].dot(x) + form.constant()[0]).item<double>();
    }
    EigenConfig eigen;
    eigen.k = config.hidden_size, eigen.dtype = at::kDouble, eigen.energy = Energy::kOff;
    const auto pairs = solve_eigen({layer, {}, of_output.unsqueeze(0)}, device, eigen);
    const auto vectors = pairs.eigenvectors[0].to(at::kDouble), p = vectors.mv(x);
    for (int64_t k = 0; k < pairs.k(); ++k) {
      const double value = pairs.eigenvalues[0][k].item<double>(), projection = p[k].item<double>();
      explanation.terms.push_back({{i, k, value, projection, value * projection * projection}, {}});
      of_layer.eigenvectors += explanation.terms.back().contribution;
    }
    // Those of all layers that are listed are among the first so many of each.
    const auto of_this = explanation.terms.end() - pairs.k();
    const auto listed = of_this + std::min<int64_t>(kListedTerms, pairs.k());
    std::partial_sort(of_this, listed, explanation.terms.end(), larger);
    for (auto term = of_this; term != listed; ++term) term->vector = vectors[term->index].clone();
    const double output = found.mlp[i].dot(w).item<double>();
    // A bilinear layer leaves nothing but rounding, which is no part of the model.
    if (config.gate_of(i) != Gate::kNone)
      of_layer.remainder = output - of_layer.eigenvectors - of_layer.linear;
    explanation.layers.push_back(of_layer);
    progress.advance(1);
  }
  std::stable_sort(explanation.terms.begin(), explanation.terms.end(), larger);
  return explanation;
}

PromptExplanationRecord record_of(const PromptExplanation& explanation, PromptExplanationRecord source) {
  source.logit = explanation.logit, source.sum = explanation.sum();
  source.embedding = explanation.embedding, source.rms = explanation.rms;
  source.soft_cap = explanation.soft_cap;
  source.layers = explanation.layers;
  double all = 0, listed = 0;
  for (const auto& layer : explanation.layers) all += layer.eigenvectors;
  for (size_t i = 0; i < std::min(kListedTerms, explanation.terms.size()); ++i) {
    const auto& term = explanation.terms[i];
    listed += term.contribution;
    source.terms.push_back({term, {}});
  }
  source.other_terms = all - listed;
  return source;
}

void write_prompt_explanation(const std::filesystem::path& directory, const PromptExplanation& explanation,
                              const PromptExplanationRecord& record) {
  NamedTensors tensors;
  Dimensions dimensions;
  for (size_t i = 0; i < record.terms.size(); ++i) {
    const std::string name = PromptVector::name(static_cast<int64_t>(i));
    for (auto& tensor : PromptVector::tensors().write({explanation.terms[i].vector}, name, dimensions))
      tensors.push_back(std::move(tensor));
  }
  write_safetensors(directory / record.kTensorFile, tensors, format_metadata(record.kFormat));
  write_record_file(directory / record.kFile, record);
}

}  // namespace bilens
