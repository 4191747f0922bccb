#include "calibration_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bilens/data/token_windows.h"

namespace bilens {

namespace {

/// Which tokens [windows · context] the choices are made on: those of every n-th document, or of every n-th
/// window where there are fewer documents than n.
at::Tensor choosing_tokens(const std::vector<int64_t>& starts, int64_t windows, int64_t context,
                           double share) {
  const int64_t tokens = windows * context;
  const auto period = std::clamp<int64_t>(std::llround(1.0 / share), 2, windows);
  auto parts = std::vector<int64_t>(starts.begin(), std::lower_bound(starts.begin(), starts.end(), tokens));
  if (static_cast<int64_t>(parts.size()) < period) {
    parts.clear();
    for (int64_t begin = 0; begin < tokens; begin += context) parts.push_back(begin);
  }
  parts.push_back(tokens);
  auto mask = at::zeros({tokens}, at::kBool);
  for (size_t i = period - 1; i + 1 < parts.size(); i += period)
    mask.slice(0, parts[i], parts[i + 1]).fill_(true);
  return mask;
}

}  // namespace

CalibrationWindows count_windows(int64_t available, int64_t context, const CalibrationConfig& config) {
  const auto share = [&](int64_t windows, double of) {
    return std::max<int64_t>(1, std::llround(static_cast<double>(windows) * of));
  };
  const int64_t wanted = config.tokens / context, behind = share(wanted, config.held_out);
  if (wanted + behind <= available) return {wanted, behind};
  const int64_t last = share(available, config.held_out / (1 + config.held_out));
  return {std::min(wanted, available - last), last};
}

at::Tensor token_uses(const std::vector<int64_t>& starts, CalibrationWindows windows, int64_t context,
                      double share) {
  const auto use = [](TokenUse value) { return static_cast<int64_t>(value); };
  auto uses = at::full({windows.all() * context}, use(TokenUse::kReport), at::kByte);
  const int64_t fitted = windows.fitted * context;
  uses.slice(0, 0, fitted).copy_(choosing_tokens(starts, windows.fitted, context, share).to(at::kByte));
  const auto first = std::lower_bound(starts.begin(), starts.end(), fitted);
  if (first != starts.end() && *first < uses.size(0))
    uses.slice(0, fitted, *first).fill_(use(TokenUse::kNone));
  return uses.view({windows.all(), context});
}

TextRows CalibrationText::counted(TokenUse what) const {
  const auto is_counted = uses.eq(static_cast<int64_t>(what));
  const auto windows = is_counted.any(1).nonzero().squeeze(1);
  const auto of = [&](const at::Tensor& all) {
    return all.defined() ? all.index_select(0, windows.to(all.device())) : all;
  };
  const auto targets = rows.targets.masked_fill(is_counted.logical_not(), -1);
  return {of(rows.tokens), of(targets), of(rows.starts), rows.windows_at_once};
}

CalibrationText read_calibration_text(const TokenStream& stream, CalibrationWindows windows, int64_t context,
                                      Packing packing, double held_out, at::Device device) {
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < windows.all(); ++i) begins.push_back(i * context);
  const auto batch = make_batch(stream, begins, context + 1);
  const auto starts = packing == Packing::kDocuments ? batch.document_starts : at::Tensor();
  return {
      {batch.inputs.to(device), batch.targets.to(device), starts, windows_within(kCalibratedAtOnce, context)},
      token_uses(stream.starts, windows, context, held_out).to(device)};
}

}  // namespace bilens
