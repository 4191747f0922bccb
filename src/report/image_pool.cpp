#include "image_pool.h"

#include "encode.h"

namespace bilens::report {

int64_t ImagePool::add(const at::Tensor& image) {
  const auto* pixels = static_cast<const char*>(image.const_data_ptr());
  std::string key = std::to_string(image.size(1)) + ":";
  key.append(pixels, image.numel());
  const auto [place, is_new] = numbers_.emplace(std::move(key), static_cast<int64_t>(images_.size()));
  if (is_new) {
    images_.push_back(
        {{"height", image.size(0)}, {"width", image.size(1)}, {"pixels", base64(pixels, image.numel())}});
    bytes_ += images_.back().at("pixels").get_ref<const std::string&>().size() + 40;
  }
  return place->second;
}

}  // namespace bilens::report
