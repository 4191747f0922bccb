#pragma once

#include "bilens/core/fields.h"
#include "bilens/data/text_data.h"
#include "bilens/data/token_stream.h"
#include "bilens/model/decoder.h"
#include "bilens/records/calibration.h"

namespace bilens {

/// The closed-form stage that makes a gated model bilinear.
struct CalibrationConfig {
  int64_t tokens = 100000;
  bool bias = true;
  bool refit = true;
  int64_t sweeps = 5;
  double held_out = 0.1;
  std::optional<std::vector<int64_t>> layers;  // that may be converted; nothing: all that are gated
  std::optional<double> budget;                // nats a token; nothing: all of these are

  static const FieldTable<CalibrationConfig>& fields();
};

struct Calibration {
  Decoder model;  // float32; the converted layers bilinear; mlp_bias with bias, or where the teacher has it
  CalibrationAccount account;
};

/// Converts a model with gated MLPs into a bilinear one without gradients, a layer at a time on the converted
/// model's own inputs:
///   1. per hidden unit f(z)y by least squares on zy, y, z², z and 1, z and y its two factors (UnitFit): its
///      rows and biases of gate_proj and up_proj, and a constant in down_proj's bias;
///   2. down_proj (and its bias) by ridge regression to the teacher's residual stream behind the layer, so
///      that a layer also makes good what earlier ones lost;
///   3. sweeps over gate_proj, up_proj and down_proj (and biases), each by least squares with the others
///      held, as long as the error on the choosing documents falls.
/// First it measures what each layer costs (measure_layer_costs). With a budget the cheapest layers that stay
/// within it together are converted, and the others stay as they are.
/// Every n-th document, n = 1 / held_out, is kept from the fits for choosing ridges and sweeps. Errors are
/// measured on the documents that begin in the next held_out · tokens of the stream; of a short stream on its
/// end, and less is fitted to.
/// Tokens count by 1 / mean square of the teacher's stream, as the norm behind it sees them. Products are
/// float32, the sums that the fits of 1 and 2 solve are float64.
/// Holds CalibrationCost::bytes beside both models.
/// @param stream read from its start, in windows of `context` tokens
/// @param packing what attention sees of a window
/// @throws Error(kUsage) for a teacher that is bilinear, and for layers that it does not have or that are;
/// Error(kBadInput) for fewer than three windows, for activations that are not finite, and for a budget that
/// the cheapest layer exceeds; Stopped
Calibration calibrate(const Decoder& teacher, const TokenStream& stream, int64_t context, Packing packing,
                      const CalibrationConfig& config);

/// What calibrate() takes at most, for a model before it.
struct CalibrationCost {
  /// Two residual streams (8 × tokens × (1 + held_out) × hidden_size), sums (16 × intermediate_size²) and
  /// about as much in the eigensolver, and some 100 × 2048 × intermediate_size; 1.6, 1.0 and 1.2 GB for
  /// TinyLlama-1.1B and 100,000 tokens. Beside these at most .8 GB of what is computed once where it fits.
  int64_t bytes = 0;
  double products = 0.0;  // operations in float32, over the tokens
  double solves = 0.0;    // in float64: of each refit the sums and an eigendecomposition, of sweeps two
                          // Cholesky factors, all of intermediate_size²
};

/// What calibrate() takes at most for this model, in windows of `context` tokens.
CalibrationCost calibration_cost(const DecoderConfig& model, int64_t context,
                                 const CalibrationConfig& config);

}  // namespace bilens
