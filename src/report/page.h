#pragma once

#include <cstddef>
#include <string>

#include "assets.h"
#include "bilens/core/json.h"

namespace bilens::report {

/// The largest page that is written: browsers open it without a wait.
constexpr size_t kMaxPageBytes = 20'000'000;

/// JSON as it may stand in a script element: without "<", so that nothing in it ends the element, whatever
/// strings the files held. Bytes that are not UTF-8 are replaced.
std::string page_json(const Json& json);

/// The page: page.html with the style sheets, the scripts and the data in it.
/// @param name after "bilens" at the top
/// @param part this page's own section, style sheet and script, which follow the shared ones
/// @param data text made of page_json
std::string render_page(std::string_view name, const PageAssets& part, const std::string& data);

}  // namespace bilens::report
