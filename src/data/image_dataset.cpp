#include "bilens/data/image_dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "bilens/io/idx.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

const std::vector<std::pair<std::string, ImageSet>>& image_sets() {
  static const std::vector<std::pair<std::string, ImageSet>> names = {
      {"mnist-5k", ImageSet::kMnist5k},
      {"mnist", ImageSet::kMnist},
      {"fashion-mnist", ImageSet::kFashionMnist},
      {"idx", ImageSet::kIdx}};
  return names;
}

/// FOLDER/NAME or FOLDER/NAME.gz
fs::path plain_or_gzip(const fs::path& folder, const std::string& name) {
  const fs::path plain = folder / name;
  return fs::exists(plain) ? plain : fs::path(plain.string() + ".gz");
}

ImageSplit read_split(const fs::path& images, const fs::path& labels) {
  ImageSplit split{read_idx(images, 3), read_idx(labels, 1).to(at::kLong)};
  if (split.images.size(0) != split.labels.size(0)) {
    throw Error(ExitCode::kBadInput,
                {labels.string(), std::to_string(split.images.size(0)) + " labels, one for each image",
                 std::to_string(split.labels.size(0)), "Images and labels must belong together."});
  }
  if (split.images.numel() == 0) {
    throw Error(ExitCode::kBadInput, {images.string(), "at least one image of at least one pixel",
                                      "shape " + describe_shape(split.images.sizes()), ""});
  }
  return split;
}

/// What stands in the place of the four files as torchvision and 7-Zip lay them out.
void refuse_other_layouts(const fs::path& folder, const std::string& dataset) {
  const std::string first = "train-images-idx3-ubyte";
  const auto there = [&](const fs::path& place) { return fs::exists(plain_or_gzip(place, first)); };
  if (there(folder)) return;
  for (const char* inside : {"MNIST/raw", "FashionMNIST/raw", "raw"}) {
    if (!there(folder / inside)) continue;
    throw Error(ExitCode::kBadInput, {folder.string(), "a folder with " + first + "[.gz] and its companions",
                                      "the files in " + std::string(inside) + ", where torchvision puts them",
                                      "Name that folder: " + dataset + ":" + (folder / inside).string()});
  }
  const fs::path renamed = folder / "train-images.idx3-ubyte";
  if (!fs::exists(renamed)) return;
  throw Error(
      ExitCode::kBadInput,
      {folder.string(), first + "[.gz] and its companions", "names with a dot, as 7-Zip unpacks them",
       "Rename them: cd " + folder.string() + " && for f in *.idx?-ubyte; do mv $f ${f/.idx/-idx}; done"});
}

std::vector<fs::path> files_in_folder(const ImageDataConfig& config) {
  const auto name = set_name(config.dataset);
  const fs::path folder = config.path.empty() ? fs::path("data") / name : fs::path(config.path);
  if (!fs::is_directory(folder)) {
    throw Error(
        ExitCode::kBadInput,
        {folder.string(), "a folder with train-images-idx3-ubyte[.gz] and its companions",
         fs::exists(folder) ? "a file" : "nothing there",
         config.dataset == ImageSet::kMnist5k ? "Run from the project's folder, or give data.path."
                                              : "Run scripts/get_data.sh " + name + ", or give data.path."});
  }
  refuse_other_layouts(folder, name);
  std::vector<fs::path> files;
  for (const char* file : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                           "t10k-labels-idx1-ubyte"}) {
    files.push_back(plain_or_gzip(folder, file));
  }
  return files;
}

std::vector<fs::path> files_of_pairs(const std::string& paths) {
  std::vector<fs::path> files;
  std::istringstream stream(paths);
  for (std::string file; std::getline(stream, file, ',');) files.emplace_back(file);
  if (files.size() != 2 && files.size() != 4) {
    throw Error(ExitCode::kUsage,
                {"data.path", "IMAGES,LABELS or IMAGES,LABELS,TEST_IMAGES,TEST_LABELS for dataset \"idx\"",
                 "\"" + paths + "\"", ""});
  }
  return files;
}

/// Moves the last share of a fixed random order to the validation split.
void split_validation(ImageDataset& data, double fraction, uint64_t seed) {
  const auto count = static_cast<int64_t>(std::llround(fraction * static_cast<double>(data.train.size())));
  if (count == 0) return;
  const auto order =
      at::randperm(data.train.size(), make_generator(at::kCPU, derive_seed(seed, "validation")), at::kLong);
  const auto take = [&](const at::Tensor& index) {
    return ImageSplit{data.train.images.index_select(0, index), data.train.labels.index_select(0, index)};
  };
  data.validation = take(order.narrow(0, data.train.size() - count, count));
  data.train = take(order.narrow(0, 0, data.train.size() - count));
}

}  // namespace

std::string set_name(ImageSet set) {
  const auto found = std::find_if(image_sets().begin(), image_sets().end(),
                                  [&](const auto& named) { return named.second == set; });
  return found->first;
}

std::string image_data_words() {
  std::vector<std::string> words;
  for (const auto& [name, set] : image_sets()) {
    words.push_back(name + (set == ImageSet::kMnist5k ? ""
                            : set == ImageSet::kIdx   ? ":IMAGES,LABELS"
                                                      : ":DIR"));
  }
  const std::string last = words.back();
  words.pop_back();
  return join(words) + " or " + last;
}

const FieldTable<ImageDataConfig>& ImageDataConfig::fields() {
  using C = ImageDataConfig;
  static const FieldTable<C> fields =
      FieldTable<C>("The images, and how a pixel becomes an input: x = (pixel/255 - pixel_mean) / pixel_std.")
          .choice("dataset", &C::dataset, "Which images.", image_sets())
          .text("path", &C::path,
                "Folder of the four IDX files (default data/<dataset>); for \"idx\" "
                "IMAGES,LABELS[,TEST_IMAGES,TEST_LABELS].")
          .number("validation_fraction", &C::validation_fraction,
                  "Share of the training images kept for validation.", between(0.0, 0.9))
          .number("pixel_mean", &C::pixel_mean, "Subtracted from pixel/255.", {}, "pixel/255")
          .number("pixel_std", &C::pixel_std, "Divides what is left.", more_than(0.0), "pixel/255");
  return fields;
}

std::vector<fs::path> image_files(const ImageDataConfig& config) {
  return config.dataset == ImageSet::kIdx ? files_of_pairs(config.path) : files_in_folder(config);
}

ImageDataset load_images(const ImageDataConfig& config, uint64_t seed) {
  const auto files = image_files(config);
  ImageDataset data;
  data.train = read_split(files[0], files[1]);
  data.test = files.size() == 4 ? read_split(files[2], files[3]) : data.train;
  data.height = data.train.images.size(1);
  data.width = data.train.images.size(2);
  require_shape(data.test.images, {-1, data.height, data.width},
                "test images of " + set_name(config.dataset));
  data.classes =
      std::max(data.train.labels.max().item<int64_t>(), data.test.labels.max().item<int64_t>()) + 1;
  split_validation(data, config.validation_fraction, seed);
  return data;
}

at::Tensor to_inputs(const at::Tensor& images, double pixel_mean, double pixel_std, at::Device device,
                     at::ScalarType dtype) {
  auto inputs = images.flatten(1).to(device).to(dtype);
  inputs.div_(255.0);
  if (pixel_mean != 0.0) inputs.sub_(pixel_mean);
  if (pixel_std != 1.0) inputs.div_(pixel_std);
  return inputs;
}

}  // namespace bilens
