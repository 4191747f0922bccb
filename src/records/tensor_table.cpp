#include "bilens/records/tensor_table.h"

#include <ATen/ATen.h>

#include "bilens/core/error.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// "d_in", "k + 1" or "24"; -1 where the name has no size yet.
int64_t size_of(const std::string& dimension, const Dimensions& dimensions) {
  if (is_number(dimension)) return std::stoll(dimension);
  const auto plus = dimension.find(" + ");
  const auto found = dimensions.find(dimension.substr(0, plus));
  if (found == dimensions.end()) return -1;
  return found->second + (plus == std::string::npos ? 0 : std::stoll(dimension.substr(plus + 3)));
}

std::vector<std::string> split(const std::string& shape) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < shape.size();) {
    const size_t end = std::min(shape.find(", ", begin), shape.size());
    parts.push_back(shape.substr(begin, end - begin));
    begin = end + 2;
  }
  return parts;
}

bool is_stored_as(at::ScalarType dtype, StoredAs stored) {
  switch (stored) {
    case StoredAs::kRunDtype: return dtype == at::kFloat || dtype == at::kDouble;
    case StoredAs::kFloat64: return dtype == at::kDouble;
    case StoredAs::kFloat32: return dtype == at::kFloat;
    case StoredAs::kFloat32OrBfloat16: return dtype == at::kFloat || dtype == at::kBFloat16;
    case StoredAs::kInt32: return dtype == at::kInt;
    case StoredAs::kInt64: return dtype == at::kLong;
    case StoredAs::kUint8: return dtype == at::kByte;
  }
  return false;
}

/// A dimension whose name has no size yet takes the tensor's. @throws Error(kBadInput) for another shape
void require_dimensions(const at::Tensor& tensor, const std::string& names_of, const std::string& where,
                        Dimensions& dimensions) {
  std::vector<int64_t> shape;
  const auto names = split(names_of);
  for (const auto& name : names) shape.push_back(size_of(name, dimensions));
  require_shape(tensor, shape, where);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto plus = names[i].find(" + ");
    if (shape[i] >= 0 || is_number(names[i])) continue;
    dimensions[names[i].substr(0, plus)] =
        tensor.size(static_cast<int64_t>(i)) -
        (plus == std::string::npos ? 0 : std::stoll(names[i].substr(plus + 3)));
  }
}

}  // namespace

std::string stored_name(StoredAs stored) {
  static const std::map<StoredAs, std::string> names = {{StoredAs::kRunDtype, "float32 or float64"},
                                                        {StoredAs::kFloat64, "float64"},
                                                        {StoredAs::kFloat32, "float32"},
                                                        {StoredAs::kFloat32OrBfloat16, "float32 or bfloat16"},
                                                        {StoredAs::kInt32, "int32"},
                                                        {StoredAs::kInt64, "int64"},
                                                        {StoredAs::kUint8, "uint8"}};
  return names.at(stored);
}

void require_fit(const at::Tensor& tensor, const TensorField& field, const std::string& where,
                 Dimensions& dimensions) {
  if (field.shape != kAnyShape) require_dimensions(tensor, field.shape, where, dimensions);
  if (!is_stored_as(tensor.scalar_type(), field.stored)) {
    throw Error(ExitCode::kBadInput, {where, stored_name(field.stored), c10::toString(tensor.scalar_type()),
                                      "Write the file again."});
  }
}

}  // namespace bilens
