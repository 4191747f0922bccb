#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/core/fields.h"

namespace bilens {

/// Images that are known by a name, and others in IDX files.
enum class ImageSet { kMnist5k, kMnist, kFashionMnist, kIdx };

/// As configs name it: "mnist-5k", ...
std::string set_name(ImageSet set);

/// What a command's `--data` takes for images: "mnist-5k, mnist:DIR, ... or idx:IMAGES,LABELS".
std::string image_data_words();

/// Which images to read and how a pixel becomes an input: x = (pixel/255 − pixel_mean) / pixel_std.
struct ImageDataConfig {
  ImageSet dataset = ImageSet::kMnist5k;
  std::string path;
  double validation_fraction = 0.0;
  double pixel_mean = 0.0;
  double pixel_std = 1.0;

  static const FieldTable<ImageDataConfig>& fields();
};

/// Images as they are stored; they become floats a batch at a time.
struct ImageSplit {
  at::Tensor images;  // uint8 [n, height, width]
  at::Tensor labels;  // int64 [n]

  int64_t size() const { return labels.defined() ? labels.size(0) : 0; }
};

struct ImageDataset {
  ImageSplit train, validation, test;
  int64_t height = 0, width = 0, classes = 0;
};

/// Reads `train-*` and `t10k-*` IDX files (plain or .gz) of mnist-5k, mnist, fashion-mnist from a folder
/// (default data/<name>), or for "idx" the files named in `path`: IMAGES,LABELS[,TEST_IMAGES,TEST_LABELS]; a
/// single pair serves as both. The last `validation_fraction` of the training images, in a fixed random
/// order, become the validation split.
/// @throws Error(kBadInput): missing, damaged, or counts and sizes that disagree.
ImageDataset load_images(const ImageDataConfig& config, uint64_t seed);

/// The files that load_images reads: images and labels, of training and test.
std::vector<std::filesystem::path> image_files(const ImageDataConfig& config);

/// uint8 [n, height, width] -> [n, height·width] on `device`, x = (pixel/255 − pixel_mean) / pixel_std in
/// that order.
at::Tensor to_inputs(const at::Tensor& images, double pixel_mean, double pixel_std, at::Device device,
                     at::ScalarType dtype = at::kFloat);

}  // namespace bilens
