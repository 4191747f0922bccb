#include "page.h"

#include <stdexcept>
#include <string_view>
#include <utility>

namespace bilens::report {

namespace {

/// Moves `rest` behind `marker` and returns what stood before it.
std::string_view take_until(std::string_view& rest, std::string_view marker) {
  const size_t place = rest.find(marker);
  if (place == std::string_view::npos) throw std::logic_error("page.html lacks " + std::string(marker));
  const auto before = rest.substr(0, place);
  rest.remove_prefix(place + marker.size());
  return before;
}

}  // namespace

std::string page_json(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

std::string render_page(std::string_view name, const PageAssets& part, const std::string& data) {
  const std::pair<std::string_view, std::string_view> places[] = {
      {"/* page.css */", kPage.css},     {"/* part.css */", part.css}, {"<!-- name -->", name},
      {"<!-- part.html -->", part.html}, {"{\"data\": null}", data},   {"/* page.js */", kPage.js},
      {"/* part.js */", part.js}};
  std::string_view rest = kPage.html;
  std::string page;
  for (const auto& [marker, content] : places) {
    page += take_until(rest, marker);
    page += content;
  }
  page += rest;
  return page;
}

}  // namespace bilens::report
