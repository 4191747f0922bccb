#include "bilens/io/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/progress.h"

namespace bilens {

namespace {

gzFile stream(void* file) { return static_cast<gzFile>(file); }

}  // namespace

GzipReader::GzipReader(std::filesystem::path path, const std::string& kind) : path_(std::move(path)) {
  if (!std::filesystem::is_regular_file(path_)) {
    throw Error(ExitCode::kBadInput,
                {path_.string(), kind, std::filesystem::is_directory(path_) ? "a folder" : "nothing there",
                 "Check the path."});
  }
  file_ = gzopen(path_.c_str(), "rb");
  if (file_ == nullptr) throw system_error(path_.string(), "read the file", ExitCode::kBadInput);
  gzbuffer(stream(file_), 1 << 18);
}

GzipReader::~GzipReader() { gzclose(stream(file_)); }

int64_t GzipReader::read(void* target, int64_t bytes) {
  int64_t done = 0;
  while (done < bytes) {
    const auto part = static_cast<unsigned>(std::min<int64_t>(bytes - done, 1 << 28));
    const int got = gzread(stream(file_), static_cast<char*>(target) + done, part);
    if (got < 0) fail();
    if (got == 0) break;
    done += got;
  }
  int status = Z_OK;
  gzerror(stream(file_), &status);
  if (status != Z_OK && status != Z_STREAM_END) fail();
  return done;
}

void GzipReader::fail() {
  int status = Z_OK;
  const std::string reason = gzerror(stream(file_), &status);
  throw Error(ExitCode::kBadInput,
              {path_.string(), "a whole gzip archive",
               status == Z_BUF_ERROR ? "a truncated one" : "a damaged one (" + reason + ")",
               "Obtain the file again, for example with scripts/get_data.sh."});
}

std::string read_plain_or_gzip(const std::filesystem::path& path, const std::string& kind,
                               int64_t max_bytes) {
  constexpr int64_t kPart = 1 << 22;
  GzipReader reader(path, kind);
  std::string text;
  for (int64_t got = kPart; got == kPart;) {
    const size_t before = text.size();
    text.resize(before + kPart);
    got = reader.read(text.data() + before, kPart);
    text.resize(before + static_cast<size_t>(got));
    if (static_cast<int64_t>(text.size()) > max_bytes) {
      throw Error(ExitCode::kBadInput,
                  {path.string(), kind + " of at most " + format_bytes(static_cast<double>(max_bytes)),
                   "more", "Split the file."});
    }
  }
  return text;
}

}  // namespace bilens
