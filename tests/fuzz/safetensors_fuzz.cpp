#include "bilens/io/safetensors.h"
#include "input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bilens::fuzz::set_input(data, size);
  try {
    bilens::fuzz::read_all(bilens::SafetensorsFile("input"));
  } catch (const bilens::Error&) {
  }
  return 0;
}
