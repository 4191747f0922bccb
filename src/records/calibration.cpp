#include "bilens/records/calibration.h"

namespace bilens {

const RecordTable<LayerCalibration>& LayerCalibration::record() {
  using R = LayerCalibration;
  static const auto table =
      RecordTable<R>()
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
                 "What became of the layers, one entry a layer. Errors are Σ w‖t − y‖²/Σ w‖t‖².");
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
