#include "bilens/records/calibration.h"

namespace bilens {

const RecordTable<LayerCalibration>& LayerCalibration::record() {
  using R = LayerCalibration;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Which layer.")
          .omitted()
          .added_later()
          .field("unit_r2", &R::unit_r2, "R² of the lines az + b nearest to the units' activations f(z).")
          .field("product_r2", &R::product_r2,
                 "R² of the bilinear units that stand for the products f(z)y, before any refit; of earlier "
                 "versions (az + b)y stood there.")
          .omitted()
          .added_later()
          .field("degenerate_units", &R::degenerate_units, "Units whose products the data do not determine.",
                 "units")
          .field("error_lines", &R::error_lines, "Relative error with (az + b)y in each unit.")
          .omitted()
          .added_later()
          .field("error_scaled", &R::error_scaled,
                 "Relative error with what stands for the products, nothing refitted.")
          .field("error_refitted", &R::error_refitted, "Relative error with down_proj refitted too.")
          .field("ridge", &R::ridge, "Ridge of that refit; null where down_proj was best as it was.")
          .field("error", &R::error, "Relative error of the layer as it was kept.")
          .field("sweeps", &R::sweeps, "Sweeps over gate_proj, up_proj and down_proj that were kept.",
                 "sweeps");
  return table;
}

const RecordTable<LayerCost>& LayerCost::record() {
  using R = LayerCost;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Which layer.")
          .field("alone", &R::alone,
                 "Rise of the loss where bilinear units stand for this layer's own, nothing refitted; null "
                 "where they "
                 "overflow.",
                 "nats a token")
          .field("estimate", &R::estimate,
                 "The same by Σ g·δ + ½ Σ (g·δ)², δ the change of the layer's output and g the loss's "
                 "gradient there, from one backward pass.",
                 "nats a token")
          .field("together", &R::together,
                 "Rise of the loss where this layer and all before it in the list are converted so; null "
                 "likewise.",
                 "nats a token");
  return table;
}

const RecordTable<ConversionCosts>& ConversionCosts::record() {
  using R = ConversionCosts;
  static const auto table =
      RecordTable<R>()
          .field("teacher_loss", &R::teacher_loss, "Loss of the gated model on the held-out tokens.",
                 "nats a token")
          .field("layers", &R::layers, "The layers that may be converted, the cheapest first.");
  return table;
}

const RecordTable<CalibrationAccount>& CalibrationAccount::record() {
  using R = CalibrationAccount;
  static const auto table =
      RecordTable<R>()
          .field("tokens", &R::tokens, "Tokens that the fits and the choices of `ridge` and `sweeps` saw.",
                 "tokens")
          .field("held_out_tokens", &R::held_out_tokens,
                 "Tokens that the errors are of. Neither the fits nor the choices saw them.", "tokens")
          .added_later()
          .field("flops", &R::flops, "Floating-point operations of the closed-form stage.", "operations")
          .added_later()
          .field("layers", &R::layers,
                 "What became of the layers that were converted, one entry a layer. Errors are "
                 "Σ w‖t − y‖²/Σ w‖t‖².")
          .field("costs", &R::costs, "What converting a layer costs, on the held-out tokens.")
          .omitted()
          .added_later();
  return table;
}

const RecordTable<CalibrationRecord>& CalibrationRecord::record() {
  using R = CalibrationRecord;
  static const auto table =
      RecordTable<R>()
          .field("teacher_sha256", &R::teacher_sha256, "SHA-256 of the teacher's weights.")
          .field("data", &R::data, "The files that the run read.")
          .part(&R::account);
  return table;
}

}  // namespace bilens
