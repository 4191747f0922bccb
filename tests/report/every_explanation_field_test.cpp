// Every field of an explanation's files is on its page, or is waived here with a reason. Each value is
// changed by itself and the page is made again; test_every_field.py does the same for the report.

#include <ATen/ATen.h>

#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "bilens/core/files.h"
#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"
#include "bilens/report/explanation_page.h"
#include "bilens/report/prompt_page.h"
#include "catch.h"
#include "temporary_folder.h"

namespace bilens::every_explanation_field_test {
namespace {

namespace fs = std::filesystem;

/// Reasons by the fields that have one.
using Reasons = std::map<std::string, std::string>;
const char* const kFormat = "Files of another format are refused.";

struct Page {
  Json data;
  std::string scripts;
};

Page page_of(const fs::path& file) {
  const std::string text = test::read_file(file), mark = "id=\"data\">", end = "</script>";
  const size_t begin = text.find(mark) + mark.size(), stop = text.find(end, begin);
  return {parse_json(text.substr(begin, stop - begin), file.string(), ExitCode::kBadInput),
          text.substr(stop)};
}

bool is_number(const std::string& key) { return key.find_first_not_of("0123456789") == std::string::npos; }

/// Whether a script reads the key: it stands there as `.key`, `{ key,` or "key".
bool reads(const std::string& scripts, const std::string& key) {
  const auto is_letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (size_t at = scripts.find(key); at != std::string::npos; at = scripts.find(key, at + 1)) {
    size_t before = at, after = at + key.size();
    while (before > 0 && scripts[before - 1] == ' ') --before;
    const char left = scripts[before - 1], right = scripts[after];
    if (is_letter(scripts[at - 1]) || is_letter(right)) continue;
    if (left == '.' || left == '{' || left == '(' || left == ',' || (left == '"' && right == '"'))
      return true;
  }
  return false;
}

bool is_shown(const Json& before, const Page& page) {
  for (const auto& step : Json::diff(before, page.data)) {
    Json::json_pointer place(step["path"].get<std::string>());
    while (!place.empty() && is_number(place.back())) place.pop_back();
    if (!place.empty() && reads(page.scripts, place.back())) return true;
  }
  return false;
}

void collect(const Json& json, const Json::json_pointer& at, std::vector<Json::json_pointer>& leaves) {
  for (const auto& [key, value] : json.items()) {
    const auto place = json.is_array() ? at / std::stoul(key) : at / key;
    if (value.is_structured()) collect(value, place, leaves);
    if (value.is_primitive()) leaves.push_back(place);
  }
}

/// "classes[].terms[].layer"
std::string field_of(Json::json_pointer place) {
  std::string name;
  for (; !place.empty(); place.pop_back()) {
    const std::string key = place.back();
    const bool first = name.empty() || name.front() == '[';
    name = is_number(key) ? "[]" + (first ? name : "." + name) : key + (first ? name : "." + name);
  }
  return name;
}

std::vector<Json> others(const Json& value) {
  if (value.is_boolean()) return {!value.get<bool>()};
  if (value.is_number_integer()) return {value.get<int64_t>() + 1, value.get<int64_t>() - 1, 0};
  if (value.is_number()) return {value.get<double>() * 1.5 + 0.25};
  if (value.is_string()) return {value.get<std::string>() + "x", "model", "none", "half", "calibrated"};
  return {};
}

/// One folder with an explanation, and what becomes of its page when a value is changed.
class Example {
 public:
  Example(const std::string& name, fs::path (*write)(const fs::path&)) : write_(write) {
    for (const char* file : {"explanation.json", "explanation.safetensors"})
      fs::copy_file(fs::path("tests/records/earlier") / name / file, folder_ / file);
    json_ = read_json(folder_ / "explanation.json", ExitCode::kBadInput);
    before_ = page_of(write_(folder_.path())).data;
  }

  /// Fields that are "shown", "not shown" or "refused".
  std::map<std::string, std::string> look() {
    std::map<std::string, std::string> found;
    std::vector<Json::json_pointer> leaves;
    collect(json_, Json::json_pointer(), leaves);
    for (const auto& place : leaves) {
      auto& answer = found[field_of(place)];
      for (const auto& other : others(json_[place])) {
        if (answer == "shown") break;
        if (other == json_[place]) continue;
        Json changed = json_;
        changed[place] = other;
        note(changed, answer);
      }
      if (answer.empty()) answer = "not shown";
    }
    write_text(folder_ / "explanation.json", format_json(json_));
    for (const auto& [name, answer] : look_at_tensors()) found[name] = answer;
    return found;
  }

 private:
  std::map<std::string, std::string> look_at_tensors() {
    const auto file = folder_ / "explanation.safetensors";
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    {
      const SafetensorsFile read(file);
      for (const auto& item : read.tensors())
        tensors.emplace_back(item.first, read.tensor(item.first).clone());
    }
    std::map<std::string, std::string> found;
    for (auto& [name, tensor] : tensors) {
      const auto kept = tensor;
      tensor = tensor.flip(-1);
      write_safetensors(file, tensors, Json());
      tensor = kept;
      found[name.substr(0, name.find('_'))] =
          is_shown(before_, page_of(write_(folder_.path()))) ? "shown" : "not shown";
    }
    return found;
  }

  void note(const Json& changed, std::string& answer) {
    write_text(folder_ / "explanation.json", format_json(changed));
    try {
      answer = is_shown(before_, page_of(write_(folder_.path()))) ? "shown" : "not shown";
    } catch (const Error&) {
      if (answer.empty()) answer = "refused";
    }
  }

  test::TemporaryFolder folder_;
  fs::path (*write_)(const fs::path&);
  Json json_, before_;
};

void check(Example example, const Reasons& waived, const Reasons& bound) {
  for (const auto& [field, found] : example.look()) {
    INFO(field);
    const std::string expected = waived.count(field) ? "not shown" : bound.count(field) ? "refused" : "shown";
    CHECK(found == expected);
  }
}

TEST_CASE("every field of an image's explanation is on its page or waived") {
  check(
      {"image_explanation", write_explanation_page}, {{"image_shape[]", "The picture has these sizes."}},
      {{"format", kFormat}, {"format_version", kFormat}, {"classes[].class", "Classes are counted from 0."}});
}

TEST_CASE("every field of a prompt's explanation is on its page or waived") {
  check({"prompt_explanation", write_prompt_page}, {{"surrogate.kind", "`meaning` says it in words."}},
        {{"format", kFormat}, {"format_version", kFormat}});
}

}  // namespace
}  // namespace bilens::every_explanation_field_test
