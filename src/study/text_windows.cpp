#include "bilens/study/text_windows.h"

#include <ATen/ATen.h>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/data/token_windows.h"

namespace bilens {

namespace {
constexpr int64_t kTokensAtOnce = 2048;
}  // namespace

int64_t TextWindows::predicted() const {
  int64_t count = 0;
  for (const auto& windows : evaluation_windows(tokens, context, 1)) count += windows.window - 1;
  return count;
}

void TextWindows::each(const std::string& name,
                       const std::function<void(const TokenBatch&, ForwardOptions)>& body) const {
  Progress progress(name, tokens, "tokens");
  for (auto windows : evaluation_windows(tokens, context, windows_within(kTokensAtOnce, context))) {
    if (stop_requested()) throw Stopped{};
    for (auto& begin : windows.begins) begin += first;
    const auto batch = make_batch(stream, windows.begins, windows.window);
    ForwardOptions options;
    if (packing == Packing::kDocuments) options.document_starts = batch.document_starts;
    body(batch, options);
    progress.advance(static_cast<int64_t>(windows.begins.size()) * windows.window);
  }
}

}  // namespace bilens
