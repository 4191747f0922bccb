#include "zip_archive.h"

#include <zip.h>

#include <algorithm>
#include <cstring>

#include "bilens/core/error.h"

namespace bilens {

namespace {

constexpr uint64_t kMaxDeflation = 1032;  // bytes out of one; zlib's technical details

Error bad_archive(const std::string& where, const std::string& expected, const std::string& found,
                  const std::string& fix = "The file is damaged: obtain or write it again.") {
  return Error(ExitCode::kBadInput, {where, expected, found, fix});
}

/// The archive's bytes as libzip reads them; it remembers where the last read was, which libzip does not say.
struct Tape {
  const char* data;
  uint64_t size;
  uint64_t position = 0, last_read = 0;
};

zip_int64_t run_tape(void* state, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto& tape = *static_cast<Tape*>(state);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS: return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_OPEN: tape.position = 0; return 0;
    case ZIP_SOURCE_READ:
      length = std::min(length, tape.size - tape.position);
      std::memcpy(data, tape.data + tape.position, length);
      tape.last_read = tape.position;
      tape.position += length;
      return static_cast<zip_int64_t>(length);
    case ZIP_SOURCE_SEEK: {
      const auto to = zip_source_seek_compute_offset(tape.position, tape.size, data, length, nullptr);
      if (to < 0) return -1;
      tape.position = static_cast<uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL: return static_cast<zip_int64_t>(tape.position);
    case ZIP_SOURCE_STAT: {
      auto& stat = *static_cast<zip_stat_t*>(data);
      zip_stat_init(&stat);
      stat.valid = ZIP_STAT_SIZE;
      stat.size = tape.size;
      return sizeof(stat);
    }
    case ZIP_SOURCE_ERROR: std::memset(data, 0, 2 * sizeof(int)); return 2 * sizeof(int);
    default: return 0;
  }
}

/// An archive that libzip has open.
class Reader {
 public:
  Reader(const std::string& where, const MappedFile& file) : tape_{file.data.get(), file.size} {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_function_create(run_tape, &tape_, &error);
    if (source != nullptr) zip_ = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (zip_ != nullptr) return;
    const std::string found = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (source != nullptr) zip_source_free(source);
    throw bad_archive(where, "a zip archive", found, "It may be cut off: obtain or write it again.");
  }
  ~Reader() { zip_discard(zip_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  zip_t* get() const { return zip_; }

  /// Reads up to `size` bytes of an entry; true when there were as many and, at its end, the sum is right.
  bool read(zip_uint64_t index, char* target, uint64_t size, bool to_the_end) {
    zip_file_t* entry = zip_fopen_index(zip_, index, to_the_end ? 0 : ZIP_FL_COMPRESSED);
    if (entry == nullptr) return false;
    zip_int64_t got = 1;
    while (size > 0 && got > 0) {
      got = zip_fread(entry, target, size);
      if (got > 0) target += got, size -= static_cast<uint64_t>(got);
    }
    char more = 0;
    const bool whole = size == 0 && (!to_the_end || zip_fread(entry, &more, 1) == 0);
    zip_fclose(entry);
    return whole;
  }

  /// Where a stored entry's content starts.
  uint64_t begin_of(const std::string& where, zip_uint64_t index) {
    char first = 0;
    if (!read(index, &first, 1, false))
      throw bad_archive(where, "content inside the archive", zip_strerror(zip_));
    return tape_.last_read;
  }

 private:
  Tape tape_;
  zip_t* zip_ = nullptr;
};

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path, MappedFile file)
    : path_(path), file_(std::move(file)) {
  Reader reader(path.string(), file_);
  const zip_int64_t count = zip_get_num_entries(reader.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    zip_stat_t stat;
    const char* name = zip_get_name(reader.get(), index, ZIP_FL_ENC_RAW);
    if (name == nullptr || zip_stat_index(reader.get(), index, 0, &stat) != 0)
      throw bad_archive(path.string() + ": entry " + std::to_string(i), "a readable entry",
                        zip_strerror(reader.get()));
    const std::string where = path.string() + ": " + name;
    Entry entry{0, stat.size, stat.comp_method == ZIP_CM_STORE};
    const bool plausible = entry.stored
                               ? stat.comp_size == stat.size
                               : stat.comp_size <= file_.size && stat.size / kMaxDeflation <= stat.comp_size;
    if (!plausible || stat.encryption_method != ZIP_EM_NONE ||
        (!entry.stored && stat.comp_method != ZIP_CM_DEFLATE)) {
      throw bad_archive(where, "a stored or deflated entry of the size it claims",
                        std::to_string(stat.comp_size) + " bytes that claim to be " +
                            std::to_string(stat.size) + ", method " + std::to_string(stat.comp_method));
    }
    if (entry.stored && entry.size > 0) {
      entry.begin = reader.begin_of(where, index);
      if (entry.size > file_.size - entry.begin) {
        throw bad_archive(where,
                          std::to_string(entry.size) + " bytes from byte " + std::to_string(entry.begin),
                          "an archive of " + std::to_string(file_.size));
      }
    }
    if (!entries_.emplace(name, entry).second)
      throw bad_archive(where, "each entry once", "it is there twice");
  }
}

ZipArchive::Entry ZipArchive::find(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw bad_archive(path_.string(), "an entry " + name, "none");
  return found->second;
}

void ZipArchive::read(const std::string& name, char* target) const {
  const Entry entry = find(name);
  Reader reader(path_.string(), file_);
  const zip_int64_t index = zip_name_locate(reader.get(), name.c_str(), ZIP_FL_ENC_RAW);
  if (index < 0 || !reader.read(static_cast<zip_uint64_t>(index), target, entry.size, true))
    throw bad_archive(path_.string() + ": " + name, "content that fits its checksum", "damaged content");
}

}  // namespace bilens
