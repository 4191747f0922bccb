#include "encode.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "numbers.h"

namespace bilens::report {

std::string base64(const void* data, size_t bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* byte = static_cast<const uint8_t*>(data);
  std::string text;
  text.reserve((bytes + 2) / 3 * 4);
  for (size_t i = 0; i < bytes; i += 3) {
    const size_t left = bytes - i;
    const uint32_t word = byte[i] << 16 | (left > 1 ? byte[i + 1] << 8 : 0) | (left > 2 ? byte[i + 2] : 0);
    text += kAlphabet[word >> 18];
    text += kAlphabet[word >> 12 & 63];
    text += left > 1 ? kAlphabet[word >> 6 & 63] : '=';
    text += left > 2 ? kAlphabet[word & 63] : '=';
  }
  return text;
}

Json quantised(const at::Tensor& vector) {
  const auto values = vector.to(at::kDouble).contiguous();
  const double* v = values.const_data_ptr<double>();
  const int64_t d = values.numel();
  double scale = 0.0;
  for (int64_t i = 0; i < d; ++i) scale = std::max(scale, std::abs(v[i]));
  std::vector<int8_t> steps(d, 0);
  for (int64_t i = 0; i < d && scale > 0; ++i)
    steps[i] = static_cast<int8_t>(std::lround(127.0 * (v[i] / scale)));
  return {{"values", base64(steps.data(), steps.size())}, {"scale", short_number(scale)}};
}

}  // namespace bilens::report
