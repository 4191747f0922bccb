#pragma once

#include <exception>
#include <string>

#include "bilens/run/outcome.h"

namespace bilens {

/// What an exception that ended a command, or the work on one of its models, means to the user: an Error its
/// own code, memory that ran out (of the machine or of the device) kExhausted, all else kFailure.
Outcome::Failure failure_of(const std::exception& error, const std::string& model = "");

}  // namespace bilens
