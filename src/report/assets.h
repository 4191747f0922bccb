#pragma once

#include <string_view>

namespace bilens::report {

struct PageAssets {
  std::string_view html, css, js;
};

// The files of these names in this folder, put into the library by cmake/Embed.cmake.
extern const PageAssets kPage;         // page.*: what all pages share
extern const PageAssets kReport;       // report.*, before its script its parts: lines.js and others
extern const PageAssets kExplanation;  // explanation.*

}  // namespace bilens::report
