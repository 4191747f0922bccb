#include "factors/factor_words.h"

#include <ATen/ATen.h>

#include "bilens/core/text.h"

namespace bilens {

std::string in_percent(double share) { return format("%.1f%%", 100 * share); }

double mean_of_numbers(const at::Tensor& tensor) { return tensor.to(at::kDouble).nanmean().item<double>(); }

std::string nothing_above(double floor) {
  return std::string(kNoChange) + format(" (nothing above %.1e)", floor);
}

}  // namespace bilens
