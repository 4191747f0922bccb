#include "bilens/io/idx.h"

#include <ATen/ATen.h>

#include "caught.h"
#include "gzip_bytes.h"
#include "temporary_folder.h"

namespace bilens::idx_test {
namespace {

using test::caught;
using test::contains;
using test::gzip;

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

std::string header(const std::vector<uint32_t>& sizes) {
  std::string bytes = {0, 0, 8, static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) bytes += big_endian(size);
  return bytes;
}

at::Tensor read(const std::string& bytes, int64_t dimensions) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "f.idx", bytes);
  return read_idx(folder / "f.idx", dimensions);
}

std::string refusal(const std::string& bytes, int64_t dimensions) {
  const auto error = caught([&] { read(bytes, dimensions); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "f.idx"));
  return error.what();
}

/// Bytes that do not compress, so that every part of an archive matters.
std::string noise(size_t count) {
  std::string bytes;
  uint32_t state = 1;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

TEST_CASE("two images of 2x3 by hand, plain and compressed") {
  const std::string file =
      header({2, 2, 3}) + std::string("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\xFF", 12);
  const auto images = read(file, 3);
  CHECK(images.scalar_type() == at::kByte);
  CHECK(images.sizes() == at::IntArrayRef({2, 2, 3}));
  CHECK(images[0][1][2].item<int>() == 5);
  CHECK(images[1][1][2].item<int>() == 255);
  CHECK(at::equal(read(gzip(file), 3), images));
}

TEST_CASE("what write_idx writes is the format, and comes back") {
  const test::TemporaryFolder folder;
  const auto labels = at::tensor({3, 1, 255}, at::kByte);
  write_idx(folder / "l", labels);
  CHECK(test::read_file(folder / "l") == header({3}) + "\x03\x01\xFF");
  CHECK(at::equal(read_idx(folder / "l", 1), labels));
  const auto images = at::arange(24, at::kByte).reshape({2, 4, 3}).transpose(1, 2);
  write_idx(folder / "i", images);
  CHECK(at::equal(read_idx(folder / "i", 3), images));
}

TEST_CASE("a wrong magic is shown beside the right one") {
  CHECK(contains(refusal(header({3}) + "abc", 3), "magic 00 00 08 03, found 00 00 08 01"));
  CHECK(contains(refusal(std::string("\x00\x00\x0D\x01", 4) + big_endian(0), 1), "found 00 00 0d 01"));
  CHECK(contains(refusal("<html>404</html>", 1), "IDX magic"));
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\n", 1), "IDX magic"));
  CHECK(contains(refusal("", 1), "IDX magic"));
  CHECK(contains(refusal(std::string("\x00\x00", 2), 1), "IDX magic"));
  CHECK(contains(refusal(header({3, 4}).substr(0, 9), 2), "a shorter file"));
}

TEST_CASE("a file that is too short or too long says by how much") {
  CHECK(contains(refusal(header({4}) + "abc", 1), "expected 4 bytes of data for [4], found 3"));
  CHECK(contains(refusal(header({2, 2, 2}) + "abcdefghi", 3), "nothing behind the data for [2, 2, 2]"));
  CHECK(contains(refusal(gzip(header({4}) + "abc"), 1), "expected 4 bytes of data"));
}

TEST_CASE("a truncated archive is named, wherever it ends") {
  const std::string whole = gzip(header({5000}) + noise(5000));
  CHECK(read(whole, 1).numel() == 5000);
  for (const size_t cut : {size_t{1}, size_t{4}, size_t{9}, size_t{100}, whole.size() / 2}) {
    CAPTURE(cut);
    CHECK(contains(refusal(whole.substr(0, whole.size() - cut), 1), "a truncated one"));
  }
}

TEST_CASE("an archive with a changed byte is damaged, in the data and in the checksum") {
  const std::string whole = gzip(header({5000}) + noise(5000));
  for (const size_t at : {whole.size() / 2, whole.size() - 6}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    CHECK(contains(refusal(damaged, 1), "a damaged one"));
  }
}

TEST_CASE("huge counts are refused before memory is taken") {
  CHECK(contains(refusal(header({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}), 3), "16 GiB"));
  CHECK(contains(refusal(header({0xFFFFFFFF, 28, 28}), 3), "16 GiB"));
  // Below that limit, but far beyond what a file of this size can hold, compressed or not.
  CHECK(contains(refusal(header({1 << 20, 64, 64}), 3), "[1048576, 64, 64]"));
  CHECK(contains(refusal(gzip(header({1 << 20, 64, 64})), 3), "[1048576, 64, 64]"));
}

TEST_CASE("no images are a valid file of none") {
  CHECK(read(header({0, 28, 28}), 3).sizes() == at::IntArrayRef({0, 28, 28}));
}

TEST_CASE("a missing file and a folder are named") {
  const test::TemporaryFolder folder;
  CHECK(contains(caught([&] { read_idx(folder / "none", 1); }).what(), "nothing there"));
  CHECK(contains(caught([&] { read_idx(folder.path(), 1); }).what(), "a folder"));
}

}  // namespace
}  // namespace bilens::idx_test
