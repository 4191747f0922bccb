#pragma once

#include "bilens/records/data_file.h"
#include "bilens/records/record_file.h"

namespace bilens {

/// What became of one layer in the closed-form stage. Errors are relative, Σ w‖t − y‖² / Σ w‖t‖², on
/// documents behind those that are fitted to and chosen on, which had no part in either: t is what the MLP
/// has to give so that the residual stream is the teacher's again.
struct LayerCalibration {
  double unit_r2 = 0.0;               // of f(z) ≈ az + b, weighted by y²
  std::optional<double> product_r2;   // of what stands for the units' products f(z)y
  int64_t degenerate_units = 0;       // whose products the data do not determine
  std::optional<double> error_lines;  // with (az + b)y in each unit
  double error_scaled = 0.0;          // with what stands for the products, nothing refitted
  double error_refitted = 0.0;        // and down_proj refitted
  double ridge = 0.0;                 // of that refit; NaN where down_proj was best as it was
  double error = 0.0;                 // of the layer as it is returned
  int64_t sweeps = 0;            // over gate, up and down that lowered the error on the choosing documents
  std::optional<int64_t> layer;  // which; nothing: its place in the list

  static const RecordTable<LayerCalibration>& record();
};

/// What it costs to convert a layer: by how much the loss rises where bilinear units stand for the layer's
/// own, nothing refitted. Nats a token.
struct LayerCost {
  int64_t layer = 0;
  double alone = 0.0;     // all other layers as they were
  double estimate = 0.0;  // the same, from one backward pass
  double together = 0.0;  // with all layers before it in the list

  static const RecordTable<LayerCost>& record();
};

/// What the layers cost that may be converted, cheapest first.
struct ConversionCosts {
  double teacher_loss = 0.0;
  std::vector<LayerCost> layers;

  static const RecordTable<ConversionCosts>& record();
};

/// What the closed-form stage read, computed and came to.
struct CalibrationAccount {
  int64_t tokens = 0;                    // that were fitted to and chosen on
  int64_t held_out_tokens = 0;           // that the errors are of
  double flops = 0.0;                    // of the matrix products over the former, in passes and fits
  std::vector<LayerCalibration> layers;  // that were converted
  std::optional<ConversionCosts> costs;

  static const RecordTable<CalibrationAccount>& record();
};

/// calibration.json, beside the model that the closed-form stage gave: a resumed run goes on with it where it
/// is of the same teacher and data.
struct CalibrationRecord {
  static constexpr RecordFormat kFormat = {"bilens-calibration", 1};
  static constexpr const char* kFile = "calibration.json";

  std::string teacher_sha256;
  KnownDataFiles data;
  std::optional<CalibrationAccount> account;

  static const RecordTable<CalibrationRecord>& record();
};

}  // namespace bilens
