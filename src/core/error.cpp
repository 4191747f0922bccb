#include "bilens/core/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "bilens/core/visible.h"

namespace bilens {

namespace {

std::string join_messages(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const auto& problem : problems) lines.push_back(problem.message());
  return join(lines, "\n");
}

/// Levenshtein distance by the usual two-row recurrence.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string Problem::message() const {
  std::string text = where;
  if (!expected.empty()) text += (text.empty() ? "" : ": ") + ("expected " + expected);
  if (!found.empty()) text += (expected.empty() ? ": " : ", ") + ("found " + found);
  if (!fix.empty()) text += ". " + fix;
  return visible(text);
}

Error::Error(ExitCode code, Problem problem) : Error(code, std::vector<Problem>{std::move(problem)}) {}

Error::Error(ExitCode code, std::vector<Problem> problems)
    : std::runtime_error(join_messages(problems)), code_(code), problems_(std::move(problems)) {}

Error system_error(const std::string& where, const std::string& doing, ExitCode otherwise) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Error(full ? ExitCode::kExhausted : otherwise,
               {where, "to " + doing, std::strerror(error),
                full ? "Free some disk space, then run again (with --resume where there is a checkpoint)."
                     : "Check that the path exists and that you may use it."});
}

std::string nearest(const std::string& name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : separator) + parts[i];
  return text;
}

}  // namespace bilens
