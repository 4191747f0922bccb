#include "bilens/report/report.h"

#include <optional>
#include <string>

#include "bilens/core/version.h"
#include "model_data.h"
#include "page.h"
#include "sources.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

/// From everything that is sensible to look at down to the index of models alone.
constexpr report::Detail kDetails[] = {
    {12, 256, 8, 1000}, {8, 256, 8, 1000}, {6, 128, 6, 600}, {4, 64, 6, 400}, {2, 64, 4, 300},
    {1, 32, 3, 200},    {1, 10, 0, 100},   {1, 4, 0, 60},    {0, 0, 0, 40},
};

/// The page's JSON as text; nothing when it gets longer than `max_bytes`.
std::optional<std::string> page_data(const std::vector<report::Source>& sources, const report::Detail& detail,
                                     size_t max_bytes) {
  report::ImagePool images;
  std::string text = "{\"version\":" + report::page_json(version()) + ",\"models\":[";
  for (const auto& source : sources) {
    if (&source != &sources.front()) text += ',';
    text += report::page_json(report::model_data(source, detail, images));
    if (text.size() + images.bytes() > max_bytes) return std::nullopt;
  }
  return text + "],\"images\":" + report::page_json(images.json()) + "}";
}

}  // namespace

Report make_report(const std::vector<fs::path>& directories) {
  if (directories.empty()) {
    throw Error(ExitCode::kUsage,
                {"report", "at least one directory", "none", "Name a run or decomposition directory."});
  }
  const auto sources = report::find_sources(directories);
  for (const auto& detail : kDetails) {
    const auto data = page_data(sources, detail, report::kMaxPageBytes);
    if (!data) continue;
    std::string page = report::render_page("report", report::kReport, *data);
    if (page.size() <= report::kMaxPageBytes) return {std::move(page), static_cast<int64_t>(sources.size())};
  }
  throw Error(ExitCode::kFailure, {"report", "models that fit on a page of 20 MB",
                                   std::to_string(sources.size()) + " models", "Write several reports."});
}

}  // namespace bilens
