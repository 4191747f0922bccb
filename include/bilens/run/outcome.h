#pragma once

#include <string>
#include <vector>

#include "bilens/records/estimate.h"

namespace bilens {

/// What a command has to say: the document of --json, and the same in words.
struct Outcome {
  struct Failure {
    std::string model;
    ExitCode code;
    std::string message;
    std::vector<Problem> problems = {};  // of an Error
  };

  Json results = Json::array();
  std::vector<Failure> failures;
  std::vector<Problem> problems;     // of a dry run
  std::optional<Estimate> estimate;  // of a dry run
  std::string text;                  // for people, on stdout without --json
  bool elsewhere = false;            // another process prints the results

  /// A batch exits with its first failure's code.
  ExitCode code() const { return failures.empty() ? ExitCode::kOk : failures.front().code; }
};

/// Adds the problems of one failed check of a dry run, which goes on.
template <class Check>
void collect_problems(Outcome& outcome, const Check& check) {
  try {
    check();
  } catch (const Error& error) {
    outcome.problems.insert(outcome.problems.end(), error.problems().begin(), error.problems().end());
    outcome.failures.push_back({"", error.code(), error.what()});
  }
}

}  // namespace bilens
