#include "bilens/train/tensorboard.h"

#include <cstring>

#include "catch.h"
#include "temporary_folder.h"

namespace bilens::tensorboard_test {
namespace {

template <class T>
T read(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The payloads of a file of TFRecords: length, its masked checksum, the payload, its own.
std::vector<std::string> payloads(const std::string& bytes) {
  const auto unmasked = [](uint32_t masked) {
    const uint32_t rotated = masked - 0xA282EAD8u;
    return rotated >> 17 | rotated << 15;
  };
  std::vector<std::string> list;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = read<uint64_t>(bytes, at);
    CHECK(unmasked(read<uint32_t>(bytes, at + 8)) == crc32c(bytes.substr(at, 8)));
    list.push_back(bytes.substr(at + 12, length));
    CHECK(unmasked(read<uint32_t>(bytes, at + 12 + length)) == crc32c(list.back()));
    at += length + 16;
  }
  return list;
}

std::string only_file(const std::filesystem::path& folder) {
  const std::filesystem::directory_iterator files(folder);
  REQUIRE(files->path().filename().string().rfind("events.out.tfevents.", 0) == 0);
  return test::read_file(files->path());
}

TEST_CASE("the checksum is Castagnoli's") {
  CHECK(crc32c("123456789") == 0xE3069283u);            // the check value of the CRC catalogues
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);  // RFC 3720, B.4
  CHECK(crc32c("") == 0);
}

TEST_CASE("events hold their step, names and values in protocol buffers' wire format") {
  const test::TemporaryFolder folder;
  {
    TensorBoardWriter writer(folder.path(), 0);
    writer.write(300, {{"train/loss", 1.5}, {"train/lr", -2.0}});
  }
  const auto events = payloads(only_file(folder.path()));
  REQUIRE(events.size() == 2);
  CHECK(events[0].substr(9) == std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  // double wall_time = 1; int64 step = 2 (300 = 0xAC 0x02 as a varint); Summary summary = 5 of two
  // Value {string tag = 1; float simple_value = 2}.
  CHECK(events[1][0] == 0x09);
  CHECK(read<double>(events[1], 1) > 1.7e9);
  const std::string loss = std::string("\x0a\x0atrain/loss\x15\x00\x00\xc0\x3f", 17);
  const std::string lr = std::string("\x0a\x08train/lr\x15\x00\x00\x00\xc0", 15);
  const std::string summary = "\x0a\x11" + loss + "\x0a\x0f" + lr;
  CHECK(events[1].substr(9) ==
        std::string("\x10\xac\x02\x2a", 4) + static_cast<char>(summary.size()) + summary);
}

TEST_CASE("a continued run says from where its steps are made again") {
  const test::TemporaryFolder folder;
  TensorBoardWriter(folder.path(), 7);
  const auto events = payloads(only_file(folder.path()));
  REQUIRE(events.size() == 2);
  // SessionLog session_log = 7 {SessionStatus status = 1: START}
  CHECK(events[1].substr(9) == std::string("\x10\x07\x3a\x02\x08\x01", 6));
}

}  // namespace
}  // namespace bilens::tensorboard_test
