#include "bilens/report/explanation_page.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bilens/core/files.h"
#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"
#include "caught.h"
#include "temporary_folder.h"

namespace bilens::explanation_page_test {
namespace {

using test::caught;
using test::contains;
using test::read_file;

Json term(int64_t layer, int64_t index) {
  return {
      {"layer", layer}, {"index", index}, {"eigenvalue", 2.0}, {"projection", -0.5}, {"contribution", 0.5}};
}

/// The two files of an explanation: an image of 2 × 3 pixels, two classes, an eigenvector over the pixels and
/// one of 4 components in each.
struct Explained {
  Json json = {{"format", "bilens-explanation"},
               {"format_version", 1},
               {"model", "runs/a/model"},
               {"input", "test:7"},
               {"label", 1},
               {"image_shape", {2, 3}},
               {"pixel_mean", 0.1},
               {"pixel_std", 0.3},
               {"input_space", "input"},
               {"prediction", 0},
               {"classes", Json::array()}};
  std::map<std::string, at::Tensor> tensors = {{"image", at::arange(6, at::kByte).view({2, 3})}};

  Explained() {
    for (int64_t c = 0; c < 2; ++c) {
      json["classes"].push_back({{"class", c},
                                 {"logit", 1.25},
                                 {"sum", 1.25},
                                 {"direct", 0.0},
                                 {"linear", 0.0},
                                 {"terms", {term(0, 0), term(1, 3)}},
                                 {"other_terms", 0.25}});
      tensors["class_" + std::to_string(c) + ".term_0"] = at::full({6}, 0.4f);
      tensors["class_" + std::to_string(c) + ".term_1"] = at::full({4}, -0.5f);
    }
  }

  void write(const test::TemporaryFolder& folder) const {
    write_text(folder / "explanation.json", format_json(json));
    write_safetensors(folder / "explanation.safetensors", {tensors.begin(), tensors.end()}, Json());
  }
};

/// The page that is made of these files.
std::string page_of(const Explained& explained) {
  const test::TemporaryFolder folder;
  explained.write(folder);
  return read_file(write_explanation_page(folder.path()));
}

/// The message with which the files are refused; the page that stood there before stays.
std::string refusal(const test::TemporaryFolder& folder) {
  write_text(folder / "explanation.html", "old");
  const auto error = caught([&] { write_explanation_page(folder.path()); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(read_file(folder / "explanation.html") == "old");
  return error.what();
}

std::string refusal(const Explained& explained) {
  const test::TemporaryFolder folder;
  explained.write(folder);
  return refusal(folder);
}

void collect(const Json& json, const Json::json_pointer& at, std::vector<Json::json_pointer>& places) {
  if (!json.is_structured()) return;
  for (const auto& [key, value] : json.items()) {
    const auto place = json.is_array() ? at / std::stoul(key) : at / key;
    places.push_back(place);
    collect(value, place, places);
  }
}

/// Where the JSON has values.
std::vector<Json::json_pointer> places() {
  std::vector<Json::json_pointer> found;
  collect(Explained().json, Json::json_pointer(), found);
  return found;
}

TEST_CASE("whole files make a page") {
  const auto page = page_of({});
  CHECK(contains(page, "runs/a/model"));
  CHECK(contains(page, "\"pixels\":\"AAECAwQF\""));
}

TEST_CASE("a missing or truncated file is named") {
  const test::TemporaryFolder folder;
  CHECK(contains(refusal(folder), "explanation.json"));
  Explained().write(folder);
  const auto tensors = folder / "explanation.safetensors";
  std::filesystem::resize_file(tensors, std::filesystem::file_size(tensors) - 1);
  CHECK(contains(refusal(folder), "explanation.safetensors"));
  std::filesystem::remove(tensors);
  CHECK(contains(refusal(folder), "explanation.safetensors"));
  Explained().write(folder);
  write_text(folder / "explanation.json", read_file(folder / "explanation.json").substr(0, 300));
  CHECK(contains(refusal(folder), "explanation.json"));
}

TEST_CASE("a missing tensor is named") {
  for (const auto& item : Explained().tensors) {
    Explained damaged;
    damaged.tensors.erase(item.first);
    CHECK(contains(refusal(damaged), "explanation.safetensors: expected a tensor named " + item.first));
  }
}

TEST_CASE("a missing key is named, or the page does without it") {
  for (const auto& place : places()) {
    Explained damaged;
    Json& parent = damaged.json[place.parent_pointer()];
    if (!parent.is_object()) continue;
    parent.erase(place.back());
    INFO(place.to_string());
    if (place.back() == "label") {
      CHECK_FALSE(page_of(damaged).empty());
    } else {
      CHECK(contains(refusal(damaged), place.back() == "format_version" ? "version none" : place.back()));
    }
  }
}

TEST_CASE("whatever stands in the place of a value, the answer is a page or an error that names the file") {
  const Json strange[] = {nullptr,
                          true,
                          -1,
                          2.5,
                          1e300,
                          9007199254740993,
                          18446744073709551615u,
                          "",
                          "nan",
                          Json::array(),
                          Json::object(),
                          {{"a", {1}}}};
  const test::TemporaryFolder folder;
  Explained().write(folder);
  for (const auto& place : places()) {
    for (const auto& value : strange) {
      Json damaged = Explained().json;
      damaged[place] = value;
      test::write_file(folder / "explanation.json", damaged.dump());
      INFO(place.to_string() << " = " << value.dump());
      try {
        write_explanation_page(folder.path());
      } catch (const Error& error) {
        CHECK(error.code() == ExitCode::kBadInput);
        CHECK(contains(error.what(), "explanation."));
      }
    }
  }
}

TEST_CASE("tensors of the wrong shape or type are refused by name") {
  const std::pair<std::string, at::Tensor> wrong[] = {
      {"image", at::zeros({6}, at::kByte)},    {"image", at::zeros({1, 2, 3}, at::kByte)},
      {"image", at::zeros({0, 3}, at::kByte)}, {"image", at::zeros({2, 3})},
      {"class_0.term_0", at::zeros({5})},     // no pixels' number
      {"class_0.term_0", at::zeros({2, 3})},  // an image, but no vector
      {"class_1.term_1", at::zeros({1, 4})},   {"class_1.term_1", at::scalar_tensor(1.0)},
  };
  for (const auto& [name, tensor] : wrong) {
    Explained damaged;
    damaged.tensors[name] = tensor;
    INFO(name << " " << tensor.sizes());
    CHECK(contains(refusal(damaged), "explanation.safetensors: " + name));
  }
}

TEST_CASE("eigenvectors that are not finite are refused by name") {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const char* name : {"class_0.term_0", "class_1.term_1"}) {
      Explained damaged;
      damaged.tensors[name][2] = value;
      CHECK(contains(refusal(damaged), std::string("explanation.safetensors: ") + name));
    }
  }
}

TEST_CASE("eigenvectors of another type of numbers are refused by name") {
  for (const auto dtype : {at::kDouble, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kInt, at::kBool}) {
    Explained other;
    other.tensors["class_1.term_1"] = other.tensors["class_1.term_1"].to(dtype);
    CHECK(contains(refusal(other), "explanation.safetensors: class_1.term_1: expected float32"));
  }
}

TEST_CASE("results that are not finite stay unknown; what the inputs depend on must be finite") {
  Explained overflowed;
  for (const char* key : {"logit", "sum", "direct", "linear", "other_terms"})
    overflowed.json["classes"][1][key] = nullptr;
  for (const char* key : {"eigenvalue", "projection", "contribution"})
    overflowed.json["classes"][1]["terms"][0][key] = nullptr;
  CHECK(contains(page_of(overflowed), "\"logit\":null"));

  Explained shifted;
  shifted.json["pixel_mean"] = nullptr;
  CHECK(contains(refusal(shifted), "pixel_mean: expected a number"));
  for (const Json& std : {Json(), Json(0), Json(-1.0)}) {
    Explained divided;
    divided.json["pixel_std"] = std;
    CHECK(contains(refusal(divided), "pixel_std: expected a number, more than 0"));
  }
}

TEST_CASE("numbers that contradict each other are refused") {
  const auto with = [](const char* place, const Json& value) {
    Explained damaged;
    damaged.json[Json::json_pointer(place)] = value;
    return refusal(damaged);
  };
  CHECK(contains(with("/prediction", 2), "prediction: expected a number below 2, found 2"));
  CHECK(contains(with("/classes", Json::array()), "prediction"));
  CHECK(contains(with("/classes/1/class", 0), "classes[1].class"));
  CHECK(contains(with("/input_space", "pixels"), "input_space"));
  CHECK(contains(with("/format", "bilens-study"), "bilens-explanation, version 1"));
  CHECK(contains(with("/format_version", 2), "version 2"));
}

TEST_CASE("no string of the files becomes markup") {
  const std::string hostile =
      "</script><img src=x onerror=alert(1)><!--<script>{\"data\": null}/* page.js */";
  const auto count = [](const std::string& text, const std::string& part) {
    size_t times = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
    return times;
  };
  const auto plain = page_of({});
  Explained named;
  named.json["model"] = hostile;
  named.json["input"] = "a" + hostile;
  const auto page = page_of(named);
  for (const char* part : {"<script", "</script", "<img", "<!--"})
    CHECK(count(page, part) == count(plain, part));
  CHECK(contains(page, "\\u003c/script>\\u003cimg src=x"));
}

}  // namespace
}  // namespace bilens::explanation_page_test
