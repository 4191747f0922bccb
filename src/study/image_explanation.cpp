#include "bilens/study/image_explanation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bilens/core/files.h"
#include "bilens/data/image_dataset.h"
#include "bilens/io/safetensors.h"
#include "bilens/study/layer_on_images.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

std::vector<ExplanationTerm> terms_of(const LayerDecomposition& layer, int64_t direction,
                                      const at::Tensor& x) {
  const auto projections = layer.pairs.eigenvectors[direction].to(at::kDouble).mv(x).contiguous();
  const auto values = layer.pairs.eigenvalues[direction].contiguous();
  const auto *p = projections.const_data_ptr<double>(), *lambda = values.const_data_ptr<double>();
  std::vector<ExplanationTerm> terms;
  for (int64_t i = 0; i < layer.pairs.k(); ++i)
    terms.push_back({layer.layer, i, lambda[i], p[i], lambda[i] * p[i] * p[i]});
  return terms;
}

/// The mean over classes of the logits in float64, which the last layer's outputs make.
double mean_logit(const ImageClassifier& model, const ImageSplit& single, const LayerDecomposition& last,
                  const at::Tensor& head) {
  LayerDecomposition whole = last;
  whole.directions = head;
  return layer_on_images(model, single, whole).targets.mean().item<double>();
}

Json to_json(const LogitExplanation& e, int64_t number) {
  Json terms = Json::array();
  double shown = 0;
  for (size_t i = 0; i < e.terms.size() && i < kExplanationTerms; ++i) {
    const auto& term = e.terms[i];
    shown += term.contribution;
    terms.push_back({{"layer", term.layer},
                     {"index", term.index},
                     {"eigenvalue", term.eigenvalue},
                     {"projection", term.projection},
                     {"contribution", term.contribution}});
  }
  return {{"class", number},    {"logit", e.logit},
          {"sum", e.sum()},     {"shared", e.shared},
          {"direct", e.direct}, {"linear", e.linear},
          {"terms", terms},     {"other_terms", e.sum() - e.direct - e.linear - shown}};
}

}  // namespace

double LogitExplanation::sum() const {
  double total = shared + direct + linear;
  for (const auto& term : terms) total += term.contribution;
  return total;
}

ImageExplanation explain_image(ImageClassifier& model, const std::vector<LayerDecomposition>& layers,
                               const at::Tensor& image) {
  const at::NoGradGuard no_grad;
  const ImageSplit single{image.unsqueeze(0), at::zeros({1}, at::kLong)};
  ImageExplanation explanation;
  explanation.image = image;
  const auto logits = compute_logits(model, single)[0];
  explanation.prediction = logits.argmax().item<int64_t>();
  const auto& c = model->config;
  const auto pixels = to_inputs(single.images, c.pixel_mean, c.pixel_std, at::kCPU, at::kDouble)[0];
  const auto embedded = model->embed->weight.detach().cpu().to(at::kDouble).mv(pixels);
  const auto head = model->head->weight.detach().cpu().to(at::kDouble);
  const bool centred = layers.back().center == "mean";
  const auto direct = (centred ? head - head.mean(0, true) : head).mv(embedded);
  const double shared = centred ? mean_logit(model, single, layers.back(), head) : 0.0;
  explanation.classes.resize(logits.numel());
  for (int64_t u = 0; u < logits.numel(); ++u) {
    explanation.classes[u].logit = logits[u].item<double>();
    explanation.classes[u].shared = shared;
    if (c.residual) explanation.classes[u].direct = direct[u].item<double>();
  }
  for (const auto& layer : layers) {
    const auto inputs = layer_on_images(model, single, layer).inputs;
    for (int64_t u = 0; u < layer.pairs.size(); ++u) {
      auto& e = explanation.classes[u];
      const auto terms = terms_of(layer, u, inputs[0]);
      e.terms.insert(e.terms.end(), terms.begin(), terms.end());
      e.linear += linear_part(layer, u, inputs)[0].item<double>();
    }
  }
  for (auto& e : explanation.classes) {
    std::stable_sort(e.terms.begin(), e.terms.end(), [](const auto& a, const auto& b) {
      return std::abs(a.contribution) > std::abs(b.contribution);
    });
  }
  return explanation;
}

Json to_json(const ImageExplanation& explanation) {
  Json classes = Json::array();
  for (size_t u = 0; u < explanation.classes.size(); ++u) {
    classes.push_back(to_json(explanation.classes[u], static_cast<int64_t>(u)));
  }
  return {{"prediction", explanation.prediction}, {"classes", classes}};
}

void write_explanation(const std::filesystem::path& directory, const ImageExplanation& explanation,
                       const std::vector<LayerDecomposition>& layers, const Json& source) {
  std::map<int64_t, const LayerDecomposition*> by_number;
  for (const auto& layer : layers) by_number[layer.layer] = &layer;
  NamedTensors tensors = {{"image", explanation.image}};
  for (size_t u = 0; u < explanation.classes.size(); ++u) {
    const auto& terms = explanation.classes[u].terms;
    for (size_t i = 0; i < terms.size() && i < kExplanationTerms; ++i) {
      const auto& vectors = by_number.at(terms[i].layer)->pairs.eigenvectors;
      tensors.emplace_back("class_" + std::to_string(u) + ".term_" + std::to_string(i),
                           vectors[static_cast<int64_t>(u)][terms[i].index].to(at::kFloat).clone());
    }
  }
  write_safetensors(directory / "explanation.safetensors", tensors,
                    {{"format", "bilens-explanation"}, {"format_version", "1"}});
  Json document = {{"format", "bilens-explanation"}, {"format_version", 1}};
  document.update(source);
  document.update(to_json(explanation));
  write_text(directory / "explanation.json", format_json(document));
}

}  // namespace bilens
