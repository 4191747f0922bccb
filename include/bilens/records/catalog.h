#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bilens/records/record_file.h"
#include "bilens/records/tensor_table.h"

namespace bilens {

/// What the documents say of one file of ours, or of one object that a command prints.
struct RecordFile {
  std::string name;  // "decomposition.json", "study.json of images", ...
  std::optional<RecordFormat> format;
  std::vector<RecordField> keys;
  std::vector<TensorField> tensors;
};

/// Every file whose keys or tensors have a table (record_table.h, tensor_table.h).
std::vector<RecordFile> record_files();

/// {"files": [{"file", "format", "format_version", "keys", "tensors"}]}; what a file does not have is left
/// out.
Json describe_files(const std::vector<RecordFile>& files);

}  // namespace bilens
