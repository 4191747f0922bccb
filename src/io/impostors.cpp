#include "impostors.h"

#include "bilens/core/error.h"

namespace bilens {

void refuse_impostors(const std::filesystem::path& path, const std::string& start) {
  if (start.rfind("version ", 0) == 0) {
    throw Error(ExitCode::kBadInput, {path.string(), "weights", "a Git-LFS pointer",
                                      "Fetch the real file, for example with `git lfs pull`."});
  }
  const auto text = start.find_first_not_of(" \t\r\n");
  if (text == std::string::npos) return;
  for (const char* page : {"<!", "<html", "<HTML"}) {
    if (start.compare(text, std::string(page).size(), page) != 0) continue;
    throw Error(ExitCode::kBadInput, {path.string(), "weights", "an HTML page",
                                      "The download returned an error page: obtain the file again."});
  }
}

}  // namespace bilens
