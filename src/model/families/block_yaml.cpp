#include "block_yaml.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <regex>
#include <sstream>
#include <vector>

namespace bilens {

namespace {

constexpr size_t kDeepest = 20;  // objects in each other

struct Line {
  size_t number, indent;
  std::string text;
};

class BlockYaml {
 public:
  BlockYaml(const std::string& text, std::string where) : where_(std::move(where)) {
    std::istringstream stream(text);
    std::string line;
    for (size_t number = 1; std::getline(stream, line); ++number) {
      line.erase(line.find_last_not_of(" \r") + 1);
      const size_t indent = line.find_first_not_of(' ');
      if (indent == std::string::npos || line[indent] == '#' || line == "---") continue;
      lines_.push_back({number, indent, line.substr(indent)});
    }
  }

  Json parse() {
    if (lines_.empty()) return nullptr;
    Json value = block(lines_.front().indent, 0);
    if (at_ < lines_.size()) throw misplaced();
    return value;
  }

 private:
  bool is_item() const { return lines_[at_].text == "-" || lines_[at_].text.starts_with("- "); }
  bool is_at(size_t indent) const { return at_ < lines_.size() && lines_[at_].indent == indent; }

  Error refusal(const Line& line, const std::string& expected) const {
    return Error(ExitCode::kBadInput,
                 {where_ + ": line " + std::to_string(line.number), expected,
                  "\"" + line.text.substr(0, 60) + "\"", "Write it as PyYAML's dump does."});
  }
  Error misplaced() const {
    return refusal(lines_[at_], "a line of the same indentation as those before it");
  }

  Json block(size_t indent, size_t depth) {
    if (depth > kDeepest) throw refusal(lines_[at_], "at most " + std::to_string(kDeepest) + " levels");
    return is_item() ? list(indent) : object(indent, depth);
  }

  Json list(size_t indent) {
    Json items = Json::array();
    for (; is_at(indent) && is_item(); ++at_) {
      const auto& line = lines_[at_];
      items.push_back(scalar(line, line.text.substr(std::min<size_t>(2, line.text.size()))));
    }
    return items;
  }

  Json object(size_t indent, size_t depth) {
    static const std::regex form(R"(([A-Za-z_][A-Za-z0-9_.-]*):(?: +(.*))?)");
    Json members = Json::object();
    while (is_at(indent) && !is_item()) {
      const auto& line = lines_[at_];
      std::smatch match;
      if (!std::regex_match(line.text, match, form)) throw refusal(line, "\"key: value\"");
      const std::string key = match[1], value = match[2];
      if (members.contains(key)) throw refusal(line, "each key once");
      ++at_;
      members[key] = value.empty() ? below(indent, depth) : scalar(line, value);
    }
    return members;
  }

  /// What stands below a key: deeper lines, or items of a list as deep as the key; null where there is
  /// nothing.
  Json below(size_t indent, size_t depth) {
    if (at_ == lines_.size()) return nullptr;
    const size_t deeper = lines_[at_].indent;
    const bool items = deeper == indent && is_item();
    return deeper > indent || items ? block(deeper, depth + 1) : Json();
  }

  Json scalar(const Line& line, const std::string& text) const {
    static const std::regex whole(R"([-+]?(0|[1-9][0-9]{0,17}))");
    static const std::regex real(R"([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)");
    static const std::regex word(R"([A-Za-z0-9_./][^#:{}\[\],&*!|>%@`'"]*)");
    static const std::regex quoted("'([^']|'')*'");
    if (text.empty() || text == "null" || text == "~") return nullptr;
    if (text == "true" || text == "false") return text == "true";
    if (text == "{}") return Json::object();
    if (text == "[]") return Json::array();
    if (std::regex_match(text, whole)) return std::stoll(text);
    if (std::regex_match(text, real)) {
      if (const double value = std::strtod(text.c_str(), nullptr); std::isfinite(value)) return value;
    } else if (std::regex_match(text, quoted)) {
      return std::regex_replace(text.substr(1, text.size() - 2), std::regex("''"), "'");
    } else if (std::regex_match(text, word)) {
      return text;
    }
    throw refusal(line, "a number, a text, true, false or null");
  }

  std::string where_;
  std::vector<Line> lines_;
  size_t at_ = 0;
};

}  // namespace

Json parse_block_yaml(const std::string& text, const std::string& where) {
  return BlockYaml(text, where).parse();
}

}  // namespace bilens
