#include "numbers.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdlib>

#include "bilens/core/text.h"

namespace bilens::report {

Json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::trunc(value) && std::abs(value) < 1e15) return static_cast<int64_t>(value);
  return std::strtod(format("%.6g", value).c_str(), nullptr);
}

Json short_numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(short_number(value));
  return list;
}

int64_t place_by_size(const at::Tensor& values, int64_t index) {
  return values.gt(values[index]).sum().item<int64_t>();
}

}  // namespace bilens::report
