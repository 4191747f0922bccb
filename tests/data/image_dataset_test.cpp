#include "bilens/data/image_dataset.h"

#include <ATen/ATen.h>

#include "bilens/io/idx.h"
#include "caught.h"
#include "temporary_folder.h"
#include "test_data.h"

namespace bilens::image_dataset_test {
namespace {

using test::caught;
using test::contains;

ImageDataConfig from(const std::filesystem::path& folder, double validation = 0.0) {
  ImageDataConfig config;
  config.dataset = ImageSet::kMnist;
  config.path = folder.string();
  config.validation_fraction = validation;
  return config;
}

/// A data set of `count` training and 4 test images of 2x3 pixels; the first pixel of image i is i.
void write_small(const test::TemporaryFolder& folder, int64_t count = 20) {
  for (const auto& [part, images] : {std::pair<std::string, int64_t>{"train", count}, {"t10k", 4}}) {
    auto pixels = at::zeros({images, 2, 3}, at::kByte);
    pixels.select(1, 0).select(1, 0).copy_(at::arange(images));
    write_idx(folder / (part + "-images-idx3-ubyte"), pixels);
    write_idx(folder / (part + "-labels-idx1-ubyte"), (at::arange(images) % 3).to(at::kByte));
  }
}

std::string refusal(const ImageDataConfig& config, ExitCode code = ExitCode::kBadInput) {
  const auto error = caught([&] { load_images(config, 0); });
  CHECK(error.code() == code);
  return error.what();
}

TEST_CASE("mnist-5k has 400 training and 100 test images of each digit") {
  const auto data = load_images({}, 0);
  CHECK(data.train.images.sizes() == at::IntArrayRef({4000, 28, 28}));
  CHECK(data.test.images.sizes() == at::IntArrayRef({1000, 28, 28}));
  CHECK(data.validation.size() == 0);
  CHECK(data.height == 28);
  CHECK(data.width == 28);
  CHECK(data.classes == 10);
  CHECK(at::equal(at::bincount(data.train.labels), at::full({10}, 400, at::kLong)));
  CHECK(at::equal(at::bincount(data.test.labels), at::full({10}, 100, at::kLong)));
  // Pictures, not noise and not empty: a good part of the pixels is background, and none is all of it.
  const double mean = data.train.images.to(at::kDouble).mean().item<double>() / 255;
  CHECK(mean > 0.1);
  CHECK(mean < 0.16);
  CHECK(data.train.images.flatten(1).amax(1).min().item<int>() > 100);
}

TEST_CASE("mnist has 60,000 training and 10,000 test images with the published mean and deviation") {
  if (!test::have_test_data("mnist")) return;
  const auto data = load_images(from(test::test_data_folder() / "mnist"), 0);
  CHECK(data.train.size() == 60'000);
  CHECK(data.test.size() == 10'000);
  const auto pixels = data.train.images.to(at::kDouble) / 255;
  CHECK(std::abs(pixels.mean().item<double>() - 0.1307) < 5e-5);  // four published digits
  CHECK(std::abs(pixels.std().item<double>() - 0.3081) < 5e-5);
  // Our 5k are the first 400 and last 100 of each digit.
  const auto small = load_images({}, 0);
  const auto sevens = data.train.images.index({data.train.labels == 7});
  const auto ours = small.train.images.index({small.train.labels == 7});
  CHECK(at::equal(ours, sevens.narrow(0, 0, 400)));
}

TEST_CASE("the validation split is the same for a seed, and disjoint from what is left") {
  const test::TemporaryFolder folder;
  write_small(folder);
  const auto first_pixels = [](const ImageSplit& split) {
    return split.images.select(1, 0).select(1, 0).to(at::kLong);
  };
  const auto a = load_images(from(folder.path(), 0.25), 7), b = load_images(from(folder.path(), 0.25), 7),
             c = load_images(from(folder.path(), 0.25), 8);
  CHECK(a.validation.size() == 5);
  CHECK(a.train.size() == 15);
  CHECK(a.test.size() == 4);
  CHECK(at::equal(a.validation.images, b.validation.images));
  CHECK(at::equal(a.train.images, b.train.images));
  CHECK_FALSE(at::equal(a.validation.images, c.validation.images));
  const auto all = std::get<0>(at::sort(at::cat({first_pixels(a.train), first_pixels(a.validation)})));
  CHECK(at::equal(all, at::arange(20)));
  // Each label stays with its image.
  CHECK(at::equal(a.train.labels, first_pixels(a.train) % 3));
  CHECK(at::equal(a.validation.labels, first_pixels(a.validation) % 3));
  CHECK(a.classes == 3);
}

TEST_CASE("pixels become inputs by (pixel/255 - mean) / std") {
  const auto images = at::tensor({0, 51, 255, 102, 10, 20}, at::kByte).reshape({2, 1, 3});
  const auto plain = to_inputs(images, 0.0, 1.0, at::kCPU);
  CHECK(plain.sizes() == at::IntArrayRef({2, 3}));
  CHECK(plain.scalar_type() == at::kFloat);
  // Two roundings of numbers up to 4: 4 eps.
  const double bound = 4 * 4 * 1.2e-7;
  const auto check = [&](const at::Tensor& found, std::vector<double> expected) {
    const auto numbers = at::tensor(expected, at::kDouble).reshape({2, 3});
    CHECK((found - numbers).abs().max().item<double>() < bound);
  };
  check(plain, {0.0, 0.2, 1.0, 0.4, 10 / 255.0, 20 / 255.0});
  check(to_inputs(images, 0.2, 0.5, at::kCPU),
        {-0.4, 0.0, 1.6, 0.4, 2 * (10 / 255.0 - 0.2), 2 * (20 / 255.0 - 0.2)});
  CHECK(images[0][0][1].item<int>() == 51);  // unchanged
  const auto exact = to_inputs(images, 0.2, 0.5, at::kCPU, at::kDouble);
  CHECK(exact.scalar_type() == at::kDouble);
  CHECK(std::abs(exact[0][2].item<double>() - 1.6) < 4 * 4 * 2.3e-16);  // as above, in float64
}

TEST_CASE("pairs of files are read, one pair for both splits") {
  const test::TemporaryFolder folder;
  write_small(folder);
  ImageDataConfig config;
  config.dataset = ImageSet::kIdx;
  const auto file = [&](const char* name) { return (folder / name).string(); };
  config.path = file("train-images-idx3-ubyte") + "," + file("train-labels-idx1-ubyte");
  CHECK(load_images(config, 0).test.size() == 20);
  config.path += "," + file("t10k-images-idx3-ubyte") + "," + file("t10k-labels-idx1-ubyte");
  CHECK(load_images(config, 0).test.size() == 4);
  config.path = file("train-images-idx3-ubyte");
  CHECK(contains(refusal(config, ExitCode::kUsage), "IMAGES,LABELS"));
}

TEST_CASE("counts and sizes that disagree, and nothing at all, are named") {
  const test::TemporaryFolder folder;
  CHECK(contains(refusal(from(folder / "none")), "nothing there"));
  CHECK(contains(refusal(from(folder.path())), "train-images-idx3-ubyte"));
  write_small(folder);
  write_idx(folder / "train-labels-idx1-ubyte", at::zeros({19}, at::kByte));
  CHECK(contains(refusal(from(folder.path())),
                 "train-labels-idx1-ubyte: expected 20 labels, one for each image, found 19"));
  write_small(folder);
  write_idx(folder / "t10k-images-idx3-ubyte", at::zeros({4, 3, 2}, at::kByte));
  CHECK(contains(refusal(from(folder.path())), "expected shape [any, 2, 3], found shape [4, 3, 2]"));
  write_small(folder, 0);
  CHECK(contains(refusal(from(folder.path())), "at least one image"));
  write_small(folder);
  write_idx(folder / "train-images-idx3-ubyte", at::zeros({20, 0, 3}, at::kByte));
  CHECK(contains(refusal(from(folder.path())), "at least one pixel"));
}

}  // namespace
}  // namespace bilens::image_dataset_test
