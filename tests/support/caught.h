#pragma once

#include <stdexcept>
#include <string>

#include "bilens/core/error.h"
#include "catch.h"

namespace bilens::test {

/// The Error that `action` throws; the test fails when it throws none.
template <class Action>
Error caught(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("expected an Error, but nothing was thrown");
  throw std::logic_error("not reached");
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace bilens::test
