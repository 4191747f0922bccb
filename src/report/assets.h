#pragma once

#include <string_view>

namespace bilens::report {

struct PageAssets {
  std::string_view html, css, js;
};

// The files of these names in this folder, put into the library by cmake/Embed.cmake.
extern const PageAssets kPage;         // page.*, its script in parts: elements.js and others
extern const PageAssets kReport;       // report.*, before its script its parts: facts.js and others
extern const PageAssets kExplanation;  // explanation.*, of an image; before its script waterfall.js
extern const PageAssets kPrompt;       // prompt.*, of a prompt, likewise

}  // namespace bilens::report
