#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bilens/train/calibration.h"
#include "bilens/train/layer_costs.h"

namespace bilens {

constexpr int64_t kCalibratedAtOnce = 2048;  // tokens, in windows

/// How many windows of the text a calibration fits to and chooses on, and how many behind these are held out
/// from both.
struct CalibrationWindows {
  int64_t fitted = 0, held_out = 0;
  int64_t all() const { return fitted + held_out; }
};

/// As many as the config asks for; of a text that is too short for the windows behind them, its end is held
/// out.
/// @param available windows of the text
CalibrationWindows count_windows(int64_t available, int64_t context, const CalibrationConfig& config);

/// What a token serves for.
enum class TokenUse : uint8_t { kFit, kChoice, kReport, kNone };

/// The use of each token, uint8 [windows, context]. Every n-th document, n = 1 / share, is for choices, or
/// every n-th window where there are fewer documents than n. Of the windows held out count the documents that
/// begin there, or all where none does.
/// @param starts of the documents
at::Tensor token_uses(const std::vector<int64_t>& starts, CalibrationWindows windows, int64_t context,
                      double share);

/// The text of a calibration, on a device but for the places of documents.
struct CalibrationText {
  TextRows rows;
  at::Tensor uses;  // uint8 [windows, context]

  /// The windows in which some token serves for this; the targets of the other tokens are not counted.
  TextRows counted(TokenUse what) const;
};

CalibrationText read_calibration_text(const TokenStream& stream, CalibrationWindows windows, int64_t context,
                                      Packing packing, double held_out, at::Device device);

}  // namespace bilens
