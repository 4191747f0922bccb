#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bilens {

/// What the header of a NumPy array file (.npy) says.
struct NpyHeader {
  std::string dtype;  // as NumPy writes it: "<u2", ">i8", "|u1"; a structured one whole
  bool fortran_order = false;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // of the first element
};

/// Whether a file that begins with these bytes is one.
bool is_npy(std::string_view first_bytes);

/// Reads the header of versions 1 to 3. @throws Error(kBadInput) where it is damaged or of another version
NpyHeader read_npy_header(const std::filesystem::path& path);

}  // namespace bilens
