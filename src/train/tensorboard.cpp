#include "bilens/train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "bilens/core/error.h"

namespace bilens {

namespace {

std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
    table[i] = value;
  }
  return table;
}

/// As TFRecords store a checksum: rotated, so that one of data with checksums in it is no trap.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// The wire format of protocol buffers: a field's number and wire type, then its value.
enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value % 128 + 128);
  return bytes + static_cast<char>(value);
}

std::string tag(uint64_t field, WireType type) { return varint(field << 3 | type); }
std::string number_field(uint64_t field, int64_t value) {
  return tag(field, kVarint) + varint(static_cast<uint64_t>(value));
}
std::string bytes_field(uint64_t field, const std::string& bytes) {
  return tag(field, kBytes) + varint(bytes.size()) + bytes;
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Fields of tensorflow/core/util/event.proto and of framework/summary.proto.
std::string event(int64_t step, const std::string& content) {
  return tag(1, kFixed64) + little_endian(wall_time()) + number_field(2, step) + content;
}
std::string scalar(const std::string& name, double value) {
  return bytes_field(1, bytes_field(1, name) + tag(2, kFixed32) + little_endian(static_cast<float>(value)));
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const auto table = make_table();
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ crc >> 8;
  return ~crc;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& directory, int64_t first_step) {
  // TensorBoard takes the files of a directory in the order of their names.
  const auto seconds = std::to_string(static_cast<int64_t>(wall_time()));
  path_ = directory / ("events.out.tfevents." + seconds + ".bilens." + std::to_string(getpid()));
  stream_.open(path_, std::ios::binary | std::ios::app);
  if (!stream_) throw system_error(path_.string(), "append to the file", ExitCode::kFailure);
  append(event(0, bytes_field(3, "brain.Event:2")));
  const std::string session_start = bytes_field(7, number_field(1, 1));
  if (first_step > 0) append(event(first_step, session_start));
}

void TensorBoardWriter::write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [name, value] : scalars) summary += scalar(name, value);
  append(event(step, bytes_field(5, summary)));
}

void TensorBoardWriter::append(const std::string& event) {
  const auto length = little_endian(static_cast<uint64_t>(event.size()));
  stream_ << length << little_endian(masked_crc(length)) << event << little_endian(masked_crc(event))
          << std::flush;
  if (!stream_) throw system_error(path_.string(), "append to the file", ExitCode::kFailure);
}

}  // namespace bilens
