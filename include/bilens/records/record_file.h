#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bilens/records/record_table.h"

namespace bilens {

/// What a file says of itself: "format" and "format_version".
struct RecordFormat {
  const char* name;
  int64_t version = 1;
};

/// Whether an object, or the metadata of a safetensors file, names this format, of whatever version.
bool names_format(const Json& object, const RecordFormat& format);

/// @throws Error(kBadInput) unless the object names this format and this version
void require_format(const Json& object, const RecordFormat& format, const std::string& where);

/// @throws Error(kBadInput) with all problems of a file of ours, which say how to mend it
void throw_unreadable(std::vector<Problem> problems);

/// An object of a file of ours. @param where names it in messages @throws Error(kBadInput)
template <class R>
R read_record(const Json& object, const std::string& where) {
  std::vector<Problem> problems;
  R record = R::record().read(object, where, problems);
  if (!problems.empty()) throw_unreadable(std::move(problems));
  return record;
}

/// The content of a file of the format R::kFormat.
template <class R>
R read_record_of_format(const Json& object, const std::string& where) {
  require_format(object, R::kFormat, where);
  return read_record<R>(object, where);
}

/// A whole file. @throws Error(kBadInput): missing, damaged, or of another format
template <class R>
R read_record_file(const std::filesystem::path& file) {
  return read_record_of_format<R>(read_json(file, ExitCode::kBadInput), file.string());
}

/// With "format" and "format_version" first.
template <class R>
Json record_with_format(const R& record) {
  Json object = {{"format", R::kFormat.name}, {"format_version", R::kFormat.version}};
  object.update(R::record().write(record));
  return object;
}

/// A format as the metadata of a safetensors file.
Json format_metadata(const RecordFormat& format);

/// Writes it whole or not at all.
void write_record_text(const std::filesystem::path& file, const Json& object);

template <class R>
void write_record_file(const std::filesystem::path& file, const R& record) {
  write_record_text(file, record_with_format(record));
}

}  // namespace bilens
