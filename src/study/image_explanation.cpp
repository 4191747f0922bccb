#include "bilens/study/image_explanation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "bilens/data/image_dataset.h"
#include "bilens/io/safetensors.h"
#include "bilens/study/layer_on_images.h"
#include "bilens/train/image_evaluation.h"

namespace bilens {

namespace {

constexpr size_t kListedOfClass = 12;

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

LogitRecord record_of_class(const LogitExplanation& e, int64_t number) {
  LogitRecord record{number, e.logit, e.sum(), e.shared, e.direct, e.linear, {}, 0};
  double listed = 0;
  for (size_t i = 0; i < e.terms.size() && i < kListedOfClass; ++i) {
    record.terms.push_back(e.terms[i]);
    listed += e.terms[i].contribution;
  }
  record.other_terms = record.sum - e.direct - e.linear - listed;
  return record;
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
  const bool centred = layers.back().center == Center::kMean;
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

ImageExplanationRecord record_of(const ImageExplanation& explanation, ImageExplanationRecord source) {
  source.prediction = explanation.prediction;
  for (const auto& of_class : explanation.classes)
    source.classes.push_back(record_of_class(of_class, static_cast<int64_t>(source.classes.size())));
  return source;
}

void write_explanation(const std::filesystem::path& directory, const ImageExplanation& explanation,
                       const std::vector<LayerDecomposition>& layers, const ImageExplanationRecord& record) {
  std::map<int64_t, const LayerDecomposition*> by_number;
  for (const auto& layer : layers) by_number[layer.layer] = &layer;
  auto tensors = ExplainedImage::tensors().write({explanation.image}, "", {});
  for (const auto& of_class : record.classes) {
    for (size_t i = 0; i < of_class.terms.size(); ++i) {
      const auto& term = of_class.terms[i];
      const auto vector = by_number.at(term.layer)->pairs.eigenvectors[of_class.number][term.index];
      const std::string name = ExplanationVector::name(of_class.number, static_cast<int64_t>(i));
      for (auto& tensor : ExplanationVector::tensors().write({vector.to(at::kFloat).clone()}, name, {}))
        tensors.push_back(std::move(tensor));
    }
  }
  write_safetensors(directory / record.kTensorFile, tensors, format_metadata(record.kFormat));
  write_record_file(directory / record.kFile, record);
}

}  // namespace bilens
