#pragma once

#include <cstddef>
#include <cstdint>

#include "bilens/io/weight_file.h"

namespace bilens::fuzz {

/// Makes these bytes what map_file returns, whatever the path: in memory of exactly their size, so that the
/// address sanitizer sees a read behind the end.
void set_input(const uint8_t* data, size_t size);

/// Reads every tensor of a file that was accepted, to its last byte.
void read_all(const WeightFile& file);

}  // namespace bilens::fuzz
