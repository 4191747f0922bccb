#include "lanczos_pace.h"

#include <algorithm>
#include <cmath>

namespace bilens {

namespace {
constexpr int64_t kFewColumns = 4;  // between two checks, at least
}  // namespace

LanczosPace LanczosPace::behind_restart(int64_t kept) { return LanczosPace(kept + kFewColumns); }

void LanczosPace::set(int64_t filled, double excess) {
  const auto least = static_cast<double>(std::max(kFewColumns, filled / 8));
  const double slope =
      last_check_ > 0 ? (excess - excess_) / static_cast<double>(filled - last_check_) : 0.0;  // a column
  const auto most = static_cast<double>(std::max(kFewColumns, filled / 2));
  const double wait = slope < 0 && std::isfinite(excess)
                          ? std::clamp(std::ceil(-excess / slope), least, most)
                          : static_cast<double>(std::max(kFewColumns, filled / 4));
  const int64_t step = filled < 32 ? 4 : 8;  // operators of one kind then come together, one a thread
  next_check_ = (filled + static_cast<int64_t>(wait) + step - 1) / step * step;
  last_check_ = filled;
  excess_ = excess;
}

}  // namespace bilens
