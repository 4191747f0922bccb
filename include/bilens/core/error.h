#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace bilens {

/// The program's exit codes; every failure belongs to one of them.
enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,    // not writable, in use, anything else
  kUsage = 2,      // command line, config, contradicting resume
  kBadInput = 3,   // a model, data or checkpoint is missing or bad
  kDiverged = 4,   // the loss stayed non-finite
  kExhausted = 5,  // memory or disk
  kStopped = 75,   // by a signal, with a checkpoint saved
};

/// One thing that is wrong: where it is, what was expected there, what was found, what to do about it.
struct Problem {
  std::string where;
  std::string expected;
  std::string found;
  std::string fix;

  /// "where: expected ..., found .... fix"
  std::string message() const;
};

/// Thrown for everything that the user can act on. Carries all problems that were found together.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, Problem problem);
  Error(ExitCode code, std::vector<Problem> problems);

  ExitCode code() const { return code_; }
  const std::vector<Problem>& problems() const { return problems_; }

 private:
  ExitCode code_;
  std::vector<Problem> problems_;
};

/// The error of the system call that has just failed: disk full is kExhausted, all else `otherwise`.
Error system_error(const std::string& where, const std::string& doing, ExitCode otherwise);

/// The candidate that is closest to `name` in edits, or "" when none is near (for "did you mean").
std::string nearest(const std::string& name, const std::vector<std::string>& candidates);

/// "a, b, c"
std::string join(const std::vector<std::string>& parts, const std::string& separator = ", ");

}  // namespace bilens
