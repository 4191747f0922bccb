#include "bilens/records/data_file.h"

namespace bilens {

const RecordTable<DataFile>& DataFile::record() {
  using R = DataFile;
  static const auto table = RecordTable<R>()
                                .field("path", &R::path, "Path of the file.")
                                .field("bytes", &R::bytes, "Its size.", "bytes")
                                .field("sha256", &R::sha256, "SHA-256 of its content.");
  return table;
}

}  // namespace bilens
