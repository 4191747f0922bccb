#pragma once

#include <map>

#include "bilens/model/decoder.h"
#include "bilens/records/calibration.h"
#include "bilens/train/bilinear_fit.h"
#include "bilens/train/bilinear_units.h"

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

/// The factors of a layer's MLP as the model has them, whose outputs stand in front of a norm behind it.
using OwnFactors = std::function<BilinearFactors(int64_t layer)>;

/// What stands for the products of a layer's units.
using LayerUnits = std::map<int64_t, BilinearUnits>;

/// The bilinear units nearest to those of some gated layers (UnitFit) on the model's own inputs, where the
/// tokens count whose targets do, all alike. @param with_biases as in fit_units()
/// @throws Error(kBadInput) for activations that are not finite; Stopped
LayerUnits fit_layers(Decoder& model, const OwnFactors& own, const std::vector<int64_t>& layers,
                      bool with_biases, const TextRows& text);

/// Measures what it costs to put these units in the place of the model's own, in nats a token, cheapest layer
/// first: each layer alone, measured and estimated, and together with all that are cheaper. A cost is
/// infinite where units overflow.
/// The estimate takes one backward pass: Σ g·δ + ½ Σ (g·δ)², where δ is what a layer's output changes by at a
/// token, and g the gradient of the loss there. The squares stand for the loss's curvature, which they are on
/// average where a model is as sure as it is right (the Fisher matrix).
/// Memory beside the model: the streams of the windows at once, and one layer's factors and its activations
/// of these windows.
/// @throws Error(kBadInput) where no target counts and for a model whose own loss is not finite; Stopped
ConversionCosts measure_layer_costs(Decoder& model, const OwnFactors& own, const LayerUnits& units,
                                    const TextRows& text);

/// Forward passes over the text that measure_layer_costs() takes, a backward pass being two.
int64_t passes_for_costs(int64_t layers);

/// As many of the cheapest layers as together cost no more than this, in the order of the model; empty where
/// no number of them does.
std::vector<int64_t> layers_within(const ConversionCosts& costs, double budget);

}  // namespace bilens
