#include "bilens/io/safetensors.h"

#include <ATen/ATen.h>

#include <cstring>

#include "caught.h"
#include "temporary_folder.h"

namespace bilens::safetensors_test {
namespace {

using test::caught;
using test::contains;

std::string with_header(const std::string& header, const std::string& data = "") {
  const uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + data;
}

/// The message with which a file of these bytes is refused.
std::string refusal(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "w.safetensors", bytes);
  const auto error = caught([&] { SafetensorsFile file(folder / "w.safetensors"); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "w.safetensors"));
  return error.what();
}

/// A header entry of float32 numbers.
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

TEST_CASE("the format by hand: a header of known bytes, then the numbers") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  write_safetensors(path, {{"b", at::tensor({1.0f, -2.0f})}, {"a", at::tensor({7}, at::kByte)}});
  const std::string header =
      R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data("\x00\x00\x80\x3F\x00\x00\x00\xC0\x07", 9);
  CHECK(test::read_file(path) == with_header(padded, data));
}

TEST_CASE("every dtype comes back bit for bit, with its shape") {
  const test::TemporaryFolder folder;
  NamedTensors tensors;
  const auto bits = at::arange(0, 48, at::kByte);
  for (const auto dtype :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar,
        at::kByte, at::kUInt64, at::kUInt32, at::kUInt16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    tensors.emplace_back(std::string("t.") + c10::toString(dtype), bits.view(dtype).reshape({2, -1}));
  }
  tensors.emplace_back("t.bool", at::tensor({1, 0, 1}, at::kByte).to(at::kBool));
  tensors.emplace_back("scalar", at::tensor(2.5));
  tensors.emplace_back("empty", at::empty({3, 0}));
  write_safetensors(folder / "all.safetensors", tensors, {{"format", "pt"}});

  const SafetensorsFile file(folder / "all.safetensors");
  CHECK(file.metadata() == Json({{"format", "pt"}}));
  CHECK(file.tensors().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    const auto read = file.tensor(name);
    CHECK(read.scalar_type() == tensor.scalar_type());
    CHECK(read.sizes() == tensor.sizes());
    CHECK(file.tensors().at(name).elements() == tensor.numel());
    if (tensor.numel() > 0 && tensor.dim() > 0)
      CHECK(at::equal(read.contiguous().view(at::kByte), tensor.contiguous().view(at::kByte)));
  }
  CHECK(file.tensor("scalar").item<float>() == 2.5f);
}

TEST_CASE(
    "transposed and sliced tensors are written as they look, and the order of the list does not matter") {
  const test::TemporaryFolder folder;
  const auto matrix = at::arange(6, at::kFloat).reshape({2, 3});
  const auto rows = at::arange(10, at::kFloat).reshape({5, 2}).slice(0, 0, 5, 2);
  write_safetensors(folder / "1", {{"t", matrix.t()}, {"rows", rows}});
  write_safetensors(folder / "2", {{"rows", rows.contiguous()}, {"t", matrix.t().contiguous()}});
  CHECK(test::read_file(folder / "1") == test::read_file(folder / "2"));
  CHECK(at::equal(SafetensorsFile(folder / "1").tensor("t"), matrix.t()));
}

TEST_CASE("a tensor outlives the file object it came from") {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "w", {{"a", at::full({1000}, 3.0)}});
  const auto tensor = SafetensorsFile(folder / "w").tensor("a");
  std::filesystem::remove(folder / "w");
  CHECK(tensor.sum().item<double>() == 3000.0);
}

TEST_CASE("data that is not aligned to its dtype is read all the same") {
  const test::TemporaryFolder folder;
  const std::string header = "{" + entry("b", "[1]", "[0,1]", "U8") + "," + entry("f", "[1]", "[1,5]") + "}";
  test::write_file(folder / "w", with_header(header, std::string("\x01\x00\x00\x80\x3F", 5)));
  CHECK(SafetensorsFile(folder / "w").tensor("f").item<float>() == 1.0f);
}

TEST_CASE("a header size of 0, 1, 2^63 or beyond the file is refused") {
  const std::string good = with_header("{" + entry("a", "[1]", "[0,4]") + "}", "1234");
  const auto with_size = [&](uint64_t size) {
    std::string bytes = good;
    std::memcpy(bytes.data(), &size, 8);
    return refusal(bytes);
  };
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{1}, uint64_t{1} << 63, ~uint64_t{0}, uint64_t{good.size() - 7}}) {
    CAPTURE(size);
    CHECK(contains(with_size(size), "at byte 0: expected the length of a safetensors header, 2 to " +
                                        std::to_string(good.size() - 8)));
  }
}

TEST_CASE("a header that is no JSON object is refused") {
  CHECK(contains(refusal(with_header("[1, 2]")), "at byte 8"));
  CHECK(contains(refusal(with_header(" {}    ")), "at byte 8"));
  CHECK(contains(refusal(with_header("{nonsense}")), "valid JSON"));
  CHECK(contains(refusal(with_header("{\"a\xFF\":1}")), "valid JSON"));
  CHECK(contains(refusal(with_header("{\"a\":" + std::string(100'000, '[') + "}")), "levels"));
  CHECK(contains(refusal(with_header("{\"a\":1}")), "dtype, shape and data_offsets"));
  CHECK(contains(refusal(with_header("{\"__metadata__\":1}")), "__metadata__"));
  CHECK(contains(refusal(with_header("{\"__metadata__\":{\"a\":1}}")), "__metadata__"));
}

TEST_CASE("a name that stands twice is refused") {
  const std::string twice = "{" + entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[4,8]") + "}";
  CHECK(contains(refusal(with_header(twice, "12345678")), "the key \"a\" twice"));
}

TEST_CASE("bytes behind the header are white space, not NUL; null metadata are none") {
  const std::string one = "{" + entry("a", "[1]", "[0,4]");
  CHECK(contains(refusal(with_header(one + "}" + std::string(3, '\0'), "1234")), "a NUL byte at byte"));
  const test::TemporaryFolder folder;
  test::write_file(folder / "w", with_header(one + ",\"__metadata__\":null} \n\r\t", "1234"));
  const SafetensorsFile file(folder / "w");
  CHECK(file.metadata().empty());
  CHECK(file.tensors().size() == 1);
}

TEST_CASE("a tensor of a dtype that is not read is listed, and refused where it is needed") {
  const auto file_of = [](const std::string& dtype, const std::string& shape, size_t bytes) {
    const std::string end = std::to_string(4 + bytes);
    return with_header(
        "{" + entry("a", "[1]", "[0,4]") + "," + entry("s", shape, "[4," + end + "]", dtype) + "}",
        std::string("\0\0\x80\x3F", 4) + std::string(bytes, '\1'));
  };
  const std::tuple<const char*, const char*, size_t> dtypes[] = {{"F8_E8M0", "[3]", 3},
                                                                 {"F4", "[2,3]", 3},
                                                                 {"F6_E2M3", "[4]", 3},
                                                                 {"C64", "[2]", 16},
                                                                 {"F31", "[7]", 5}};
  const test::TemporaryFolder folder;
  for (const auto& [dtype, shape, bytes] : dtypes) {
    CAPTURE(dtype);
    test::write_file(folder / "w", file_of(dtype, shape, bytes));
    const SafetensorsFile file(folder / "w");
    CHECK(file.tensor("a").item<float>() == 1.0f);
    CHECK(file.tensors().at("s").stored_as() == dtype);
    const auto error = caught([&] { file.tensor("s"); });
    CHECK(contains(error.what(), "w: s: expected a dense tensor"));
    CHECK(contains(error.what(), "found " + std::string(dtype)));
  }
  // Sizes are checked as those of any other.
  CHECK(contains(refusal(file_of("F8_E8M0", "[3]", 4)), "3 bytes for dtype and shape [3]"));
  CHECK(contains(refusal(file_of("C64", "[2]", 8)), "16 bytes"));
  CHECK(contains(refusal(file_of("F4", "[3]", 2)), "whole bytes"));
  CHECK(contains(refusal(file_of("F4", "[4611686018427387904,4]", 2)), "fits into memory"));
  CHECK(contains(refusal(file_of("F31", "[4611686018427387904,4]", 2)), "fits into memory"));
}

TEST_CASE("overlapping, gapped and reversed offsets are refused") {
  const auto two = [](const std::string& first, const std::string& second, size_t bytes) {
    return refusal(with_header("{" + entry("a", "[1]", first) + "," + entry("b", "[1]", second) + "}",
                               std::string(bytes, 'x')));
  };
  CHECK(contains(two("[0,4]", "[2,6]", 6), "no gap, no overlap"));
  CHECK(contains(two("[0,4]", "[0,4]", 4), "no gap, no overlap"));
  CHECK(contains(two("[0,4]", "[5,9]", 9), "b: expected data at offset 4"));
  CHECK(contains(two("[4,8]", "[8,12]", 12), "a: expected data at offset 0"));
  CHECK(contains(two("[0,4]", "[8,4]", 8), "do not decrease"));
  CHECK(contains(two("[0,4]", "[4]", 8), "two data_offsets"));
  CHECK(contains(two("[0,4]", "[-4,0]", 8), "two data_offsets"));
  CHECK(contains(two("[0,4]", "[4.0,8]", 8), "two data_offsets"));
}

TEST_CASE("a shape that overflows or does not fill its span is refused") {
  const auto one = [](const std::string& shape, const std::string& offsets, size_t bytes) {
    return refusal(with_header("{" + entry("a", shape, offsets) + "}", std::string(bytes, 'x')));
  };
  CHECK(contains(one("[4611686018427387904,4]", "[0,0]", 0), "fits into memory"));
  CHECK(contains(one("[18446744073709551615]", "[0,4]", 4), "fits into memory"));
  CHECK(contains(one("[9223372036854775808,0]", "[0,0]", 0), "fits into memory"));
  CHECK(contains(one("[2,2]", "[0,12]", 12),
                 "expected 16 bytes for dtype and shape [2, 2], found a span of 12"));
  CHECK(contains(one("[-1]", "[0,4]", 4), "non-negative integers"));
  CHECK(contains(one("[1.0]", "[0,4]", 4), "non-negative integers"));
  CHECK(contains(one("7", "[0,4]", 4), "non-negative integers"));
}

TEST_CASE("a file of nothing but an unknown dtype is refused, which is named") {
  CHECK(contains(refusal(with_header("{" + entry("a", "[1]", "[0,4]", "F31") + "}", "1234")),
                 "a: expected a dense tensor of a known dtype, found F31"));
  CHECK(contains(refusal(with_header(R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", "1234")),
                 "known dtype"));
}

TEST_CASE("a truncated file and bytes behind the last tensor are refused") {
  const std::string good = with_header("{" + entry("a", "[2]", "[0,8]") + "}", "12345678");
  CHECK(contains(refusal(good.substr(0, good.size() - 1)), "truncated"));
  CHECK(contains(refusal(good + "x"), "bytes behind the last tensor"));
  CHECK(contains(refusal(good.substr(0, 20)), "at byte 0"));
  CHECK(contains(refusal(good.substr(0, 7)), "found 7 bytes"));
  CHECK(contains(refusal(""), "found 0 bytes"));
}

TEST_CASE("files that stand where weights should be are named") {
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 42\n"),
                 "Git-LFS pointer"));
  CHECK(contains(refusal("<!DOCTYPE html><html><body>404</body></html>"), "HTML page"));
  CHECK(contains(refusal("<html><body>404</body></html>"), "HTML page"));
}

TEST_CASE("a header whose size happens to read as text is no impostor") {
  // 0x213C bytes: the file starts with "<!".
  std::string header = "{" + entry("a", "[1]", "[0,4]") + "}";
  header.resize(0x213C, ' ');
  const test::TemporaryFolder folder;
  test::write_file(folder / "w", with_header(header, std::string(4, '\0')));
  CHECK(SafetensorsFile(folder / "w").tensor("a").item<float>() == 0.0f);
}

TEST_CASE("a folder is refused, a link to a file is followed, a missing tensor suggests another") {
  const test::TemporaryFolder folder;
  CHECK(contains(caught([&] { SafetensorsFile file(folder.path()); }).what(), "expected a file"));
  CHECK(caught([&] { SafetensorsFile file(folder / "none"); }).code() == ExitCode::kBadInput);
  write_safetensors(folder / "blob", {{"head.weight", at::ones({2})}});
  std::filesystem::create_symlink(folder / "blob", folder / "model.safetensors");
  const SafetensorsFile file(folder / "model.safetensors");
  CHECK(file.tensor("head.weight").sum().item<float>() == 2.0f);
  CHECK(contains(caught([&] { file.tensor("head.wieght"); }).what(), "Did you mean head.weight?"));
}

}  // namespace
}  // namespace bilens::safetensors_test
