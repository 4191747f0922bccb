#include "bilens/io/torch_file.h"
#include "input_file.h"
#include "stored_zip.h"

/// A zip archive as it is; all else as the pickle of an archive, since its checksum would stop every change.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!bilens::is_zip(bytes)) {
    bytes = bilens::test::stored_zip(
        {{"a/data.pkl", bytes}, {"a/data/0", std::string(24, '\1')}, {"a/data/1", "12345678"}});
  }
  bilens::fuzz::set_input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  try {
    bilens::fuzz::read_all(bilens::TorchFile("input"));
  } catch (const bilens::Error&) {
  }
  return 0;
}
