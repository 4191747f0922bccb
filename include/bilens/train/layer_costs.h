#pragma once

#include <map>

#include "bilens/model/decoder.h"
#include "bilens/records/calibration.h"
#include "bilens/train/bilinear_fit.h"

namespace bilens {

/// Windows of text.
struct TextRows {
  at::Tensor tokens, targets;  // int64 [windows, context]; targets below 0 do not count
  at::Tensor starts;           // ForwardOptions::document_starts; undefined: none
  int64_t windows_at_once = 1;

  int64_t windows() const { return tokens.size(0); }
  /// Calls `use` with some windows at a time. @throws Stopped
  void each_part(const std::function<void(const TextRows&)>& use) const;
};

/// MLPs by their layer. Their outputs are those in front of a norm behind the MLP.
using LayerFactors = std::map<int64_t, BilinearFactors>;

/// Gated MLPs as bilinear ones: the units nearest to their own (UnitFit) on the model's own inputs, where all
/// tokens count alike. @param gated the model's own factors, of the layers that are wanted
/// @throws Error(kBadInput) for activations that are not finite; Stopped
LayerFactors fit_layers(Decoder& model, const LayerFactors& gated, const TextRows& text);

/// What it costs to put these MLPs in the place of the model's own, in nats a token, cheapest layer first:
/// each layer alone, measured and estimated, and together with all that are cheaper.
/// The estimate is of one backward pass: Σ g·δ + ½ Σ (g·δ)², δ what a layer's output changes by at a token,
/// g the gradient of the loss there. The squares stand for the loss's curvature, which they are on average
/// where a model is as sure as it is right (the Fisher matrix).
/// Memory beside the model: streams of the windows at once, and one layer's activations of them.
/// @throws Stopped
ConversionCosts measure_layer_costs(Decoder& model, const LayerFactors& bilinear, const TextRows& text);

/// Forward passes over the text that measure_layer_costs() takes, a backward pass being two.
int64_t passes_for_costs(int64_t layers);

/// The layers that cost no more than this together, in their order; empty where one costs more already.
std::vector<int64_t> layers_within(const ConversionCosts& costs, double budget);

}  // namespace bilens
