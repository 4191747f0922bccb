#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "catch.h"

namespace bilens::test {

/// The folder with the optional test data: BILENS_TEST_DATA, else ../shared/data beside the project.
inline std::filesystem::path test_data_folder() {
  const char* named = std::getenv("BILENS_TEST_DATA");
  return named != nullptr && *named != '\0' ? named : "../shared/data";
}

/// Whether the named part of the test data is there. Where it is not, says so, and fails the test with
/// BILENS_REQUIRE_DATA=1.
inline bool have_test_data(const std::string& name) {
  const auto path = test_data_folder() / name;
  if (std::filesystem::exists(path)) return true;
  const char* required = std::getenv("BILENS_REQUIRE_DATA");
  if (required != nullptr && std::string(required) == "1") {
    FAIL("BILENS_REQUIRE_DATA=1, but there is no " << path.string());
  }
  std::printf("SKIP: no %s (set BILENS_TEST_DATA)\n", path.string().c_str());
  return false;
}

}  // namespace bilens::test
