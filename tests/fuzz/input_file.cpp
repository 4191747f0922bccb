#include "input_file.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "io/mapped_file.h"

namespace bilens {

namespace {

MappedFile input;

}  // namespace

MappedFile map_file(const std::filesystem::path&) { return input; }

void fuzz::set_input(const uint8_t* data, size_t size) {
  const std::shared_ptr<char> bytes(new char[size], std::default_delete<char[]>());
  std::copy(data, data + size, bytes.get());
  input = {bytes, size};
}

void fuzz::read_all(const WeightFile& file) {
  for (const auto& [name, info] : file.tensors()) {
    if (c10::isFloat8Type(info.dtype) || info.dtype == at::kBool || !info.unreadable.empty())
      continue;  // a bool of 2 is not ours to judge
    file.tensor(name).contiguous().view(at::IntArrayRef({-1}));
  }
}

}  // namespace bilens
