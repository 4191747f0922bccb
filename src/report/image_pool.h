#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <unordered_map>

#include "bilens/core/json.h"

namespace bilens::report {

/// The test images of the page: each is stored once, whichever models and eigenvectors show it.
class ImagePool {
 public:
  /// @param image uint8 [height, width], contiguous
  /// @return its number on the page
  int64_t add(const at::Tensor& image);

  /// [{"height", "width", "pixels": base64}]
  const Json& json() const { return images_; }
  /// About the length of json() as text.
  size_t bytes() const { return bytes_; }

 private:
  std::unordered_map<std::string, int64_t> numbers_;
  Json images_ = Json::array();
  size_t bytes_ = 0;
};

}  // namespace bilens::report
