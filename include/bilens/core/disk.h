#pragma once

#include <filesystem>

namespace bilens {

/// Bytes a second that files are written at where `path` is or is to be, measured on 16 MB in a file without
/// a name, of which nothing is left; 0 where no file can be written there.
double measure_write_rate(std::filesystem::path path);

}  // namespace bilens
