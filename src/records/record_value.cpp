#include "bilens/records/record_value.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "bilens/core/fields.h"

namespace bilens::record_value {

std::string plural(const std::string& type) {
  const std::string list = "list of ";
  return type.starts_with(list) ? "lists of " + type.substr(list.size()) : type + "s";
}

void expected(const std::string& what, const Json& value, const std::string& where,
              std::vector<Problem>& problems) {
  problems.push_back({where, what, describe(value), ""});
}

bool is_within(const Json& value, double least, double most) {
  if (value.is_structured()) {
    return std::all_of(value.begin(), value.end(),
                       [&](const Json& item) { return is_within(item, least, most); });
  }
  return !value.is_number() || (value.get<double>() >= least && value.get<double>() <= most);
}

double read_number(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (value.is_number()) return value.get<double>();
  expected("a number", value, where, problems);
  return 0;
}

int64_t read_integer(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX};
  if (value.is_number_integer() && !too_large) return value.get<int64_t>();
  expected("an integer", value, where, problems);
  return 0;
}

bool read_flag(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (value.is_boolean()) return value.get<bool>();
  expected("true or false", value, where, problems);
  return false;
}

std::string read_text(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (value.is_string()) return value.get<std::string>();
  expected("a text", value, where, problems);
  return "";
}

NamedNumbers read_named_numbers(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  NamedNumbers numbers;
  if (!value.is_object()) {
    expected("an object", value, where, problems);
    return numbers;
  }
  for (const auto& item : value.items())
    numbers.emplace_back(item.key(), read_number(item.value(), key_path(where, item.key()), problems));
  return numbers;
}

Json write_named_numbers(const NamedNumbers& numbers) {
  Json object = Json::object();
  for (const auto& [name, number] : numbers) object[name] = number;
  return object;
}

at::Tensor read_tensor(const Json& value, const std::string& where, std::vector<Problem>& problems) {
  if (!value.is_array()) {
    expected("a list of numbers", value, where, problems);
    return at::empty({0}, at::kDouble);
  }
  const bool matrix = !value.empty() && value.front().is_array();
  const size_t columns = matrix ? value.front().size() : value.size();
  std::vector<double> numbers;
  const auto add = [&](const Json& row) {
    if (!row.is_array() || row.size() != columns) {
      expected(std::to_string(value.size()) + " lists of " + std::to_string(columns) + " numbers", row, where,
               problems);
      numbers.resize(numbers.size() + columns);
      return;
    }
    for (const auto& number : row) numbers.push_back(read_number(number, where, problems));
  };
  if (matrix) {
    for (const auto& row : value) add(row);
  } else {
    add(value);
  }
  const auto flat = at::tensor(numbers, at::kDouble);
  return matrix ? flat.view({static_cast<int64_t>(value.size()), static_cast<int64_t>(columns)}) : flat;
}

Json write_tensor(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  if (tensor.dim() > 1) {
    Json rows = Json::array();
    for (int64_t i = 0; i < tensor.size(0); ++i) rows.push_back(write_tensor(tensor[i]));
    return rows;
  }
  const auto dense = tensor.to(at::kDouble).contiguous();
  const auto* first = dense.const_data_ptr<double>();
  return std::vector<double>(first, first + dense.numel());
}

}  // namespace bilens::record_value
