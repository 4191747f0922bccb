#include "bilens/data/token_layout.h"

#include <ATen/ATen.h>

#include "bilens/data/token_file.h"
#include "caught.h"
#include "temporary_folder.h"
#include "token_files.h"

namespace bilens::token_layout_test {
namespace {

using test::caught;
using test::contains;
using test::little_endian;
using test::load_tokens;

/// What numpy.save writes: the header is padded to a multiple of 64 bytes.
std::string npy(const std::string& dtype, const std::string& shape, const std::string& data,
                int version = 1) {
  std::string header = "{'descr': " + dtype + ", 'fortran_order': False, 'shape': " + shape + ", }";
  const size_t before = version == 1 ? 10 : 12;
  header.resize((before + header.size() + 1 + 63) / 64 * 64 - before - 1, ' ');
  header += '\n';
  return "\x93NUMPY" + std::string{static_cast<char>(version), '\0'} +
         little_endian({static_cast<int64_t>(header.size())}, version == 1 ? 2 : 4) + header + data;
}

TextDataConfig of_dtype(at::ScalarType dtype) {
  TextDataConfig config;
  config.dtype = dtype;
  return config;
}

std::string refusal(const std::string& bytes, int64_t vocabulary, const TextDataConfig& config = {}) {
  const auto error = caught([&] { load_tokens(bytes, vocabulary, config); });
  CHECK(error.code() == ExitCode::kBadInput);
  CHECK(contains(error.what(), "t.bin"));
  return error.what();
}

const std::vector<int64_t> kIds = {1, 5, 9, 1, 12, 3};

bool is_kIds(const TokenStream& stream) {
  return at::equal(stream.ids, at::tensor(kIds, at::kLong).to(at::kInt)) &&
         stream.starts == std::vector<int64_t>{0, 3};
}

TEST_CASE("a NumPy array is read as what its header says") {
  for (const auto& [dtype, width] : {std::pair<std::string, int>{"'|u1'", 1},
                                     {"'|i1'", 1},
                                     {"'<u2'", 2},
                                     {"'<i2'", 2},
                                     {"'<u4'", 4},
                                     {"'<i4'", 4},
                                     {"'<u8'", 8},
                                     {"'<i8'", 8}}) {
    CAPTURE(dtype);
    for (const int version : {1, 2, 3})
      CHECK(is_kIds(load_tokens(npy(dtype, "(6,)", little_endian(kIds, width), version), 40)));
    CHECK(is_kIds(load_tokens(npy(dtype, "(6,)", little_endian(kIds, width)), 128256)));  // also as wide ids
  }
  // Saved by NumPy 1.13 and before, the data begin at any multiple of 16; here at an odd place.
  std::string odd = npy("'<u2'", "(6,)", "");
  odd.insert(odd.size() - 1, " ");
  odd[8] = static_cast<char>(odd[8] + 1);
  CHECK(is_kIds(load_tokens(odd + little_endian(kIds, 2), 40)));
}

TEST_CASE("other arrays are refused by name") {
  const auto six = [](int width) { return little_endian(kIds, width); };
  CHECK(contains(refusal(npy("'>u2'", "(6,)", six(2)), 40), "dtype >u2"));
  CHECK(contains(refusal(npy("'<f4'", "(6,)", six(4)), 40), "dtype <f4"));
  CHECK(contains(refusal(npy("'|O'", "(6,)", six(4)), 40), "dtype |O"));
  CHECK(contains(refusal(npy("[('id', '<u2')]", "(6,)", six(2)), 40), "dtype [('id', '<u2')]"));
  CHECK(contains(refusal(npy("'<u2'", "(2, 3)", six(2)), 40), "one dimension, found 2 dimensions"));
  CHECK(contains(refusal(npy("'<u2'", "()", six(2).substr(0, 2)), 40), "found 0 dimensions"));
  CHECK(contains(refusal(npy("'<u2'", "(7,)", six(2)), 40), "as its header says, 7"));
  CHECK(contains(refusal(npy("'<u8'", "(999999999999999999,)", six(2)), 40), "as its header says"));
  CHECK(contains(refusal(npy("'<u2'", "(0,)", ""), 40), "as its header says, 0"));
  CHECK(contains(refusal(npy("'<u2'", "(6,)", six(2), 9), 40), "version 9"));
  CHECK(contains(refusal("\x93NUMPY", 40), "a truncated file"));
  CHECK(contains(refusal(npy("'<u2'", "(6,)", six(2)).substr(0, 50), 40), "a damaged header"));
  CHECK(contains(refusal(npy("'<u2'", "(6,)", six(2)), 12), "found 12 as token 4"));
  CHECK(contains(refusal(npy("'<i2'", "(2,)", little_endian({3, -100}, 2)), 40), "found -100 as token 1"));
  CHECK(contains(refusal(npy("'<u2'", "(6,)", six(2)), 40, of_dtype(at::kLong)),
                 "int64 ids, as data.dtype says"));
}

TEST_CASE("wider ids without a header are not taken for two or four narrow ones") {
  for (const int64_t vocabulary : {40, 50257}) {
    const auto four = refusal(little_endian(kIds, 4), vocabulary),
               eight = refusal(little_endian(kIds, 8), vocabulary);
    CHECK(contains(four, "every second one 0, as where uint32 ids are read so"));
    CHECK(contains(four, "data.dtype=uint32"));
    CHECK(contains(four, "--data tokens,dtype=uint32:"));
    CHECK(contains(eight, "data.dtype=int64"));
  }
  CHECK(contains(refusal(little_endian(kIds, 8), 128256), "data.dtype=int64"));
  // Some upper halves of ids beyond 65,535 are 1.
  std::vector<int64_t> mixed;
  for (int64_t i = 0; i < 100; ++i) mixed.push_back(i % 5 == 0 ? 65536 + i : 3 * i + 1);
  CHECK(contains(refusal(little_endian(mixed, 4), 65536), "data.dtype=uint32"));
  // Padding with zeros is no upper half.
  std::vector<int64_t> padded(200, 0);
  for (size_t i = 0; i < 60; ++i) padded[i] = static_cast<int64_t>(i % 39 + 1);
  CHECK(load_tokens(little_endian(padded, 2), 40).size() == 200);
  CHECK(load_tokens(little_endian({7}, 2), 40).size() == 1);
}

TEST_CASE("what the user says of a headerless file is done") {
  for (const auto& [dtype, width] : {std::pair<at::ScalarType, int>{at::kByte, 1},
                                     {at::kUInt16, 2},
                                     {at::kUInt32, 4},
                                     {at::kInt, 4},
                                     {at::kLong, 8}}) {
    CAPTURE(dtype);
    CHECK(is_kIds(load_tokens(little_endian(kIds, width), 40, of_dtype(dtype))));
    CHECK(is_kIds(load_tokens(little_endian(kIds, width), 128256, of_dtype(dtype))));
  }
  CHECK(at::equal(load_tokens(little_endian({5, 0, 5, 0}, 2), 40, of_dtype(at::kUInt16)).ids,
                  at::tensor({5, 0, 5, 0}, at::kInt)));
  CHECK(contains(refusal(little_endian({-1, 3}, 8), 40, of_dtype(at::kLong)), "found -1 as token 0"));
  CHECK(contains(refusal(little_endian({1LL << 32, 3}, 8), 40, of_dtype(at::kLong)),
                 "found 4294967296 as token 0"));
  CHECK(contains(refusal("abcdef", 40, of_dtype(at::kLong)), "token ids of 8 bytes each, found 6 bytes"));
}

TEST_CASE("ids that do not fit show how to say another dtype, and only where it was guessed") {
  const auto guessed = refusal(little_endian({7, 60000, 3}, 2), 40);
  CHECK(contains(guessed, "found 60000 as token 1"));
  CHECK(contains(guessed, "data.dtype=uint32, int64, int32 or uint8"));
  CHECK_FALSE(contains(refusal(little_endian({7, 60000, 3}, 2), 40, of_dtype(at::kUInt16)), "data.dtype"));
}

TEST_CASE("other formats are refused by name") {
  const std::string rest(64, '\x07');
  CHECK(contains(refusal("LITPKDS" + rest, 50257), "lit-gpt's packed format"));
  CHECK(contains(refusal("LITPKDS" + rest, 50257, of_dtype(at::kByte)), "lit-gpt's packed format"));
  CHECK(contains(refusal("\x1F\x8B\x08" + rest + "x", 50257), "a gzip archive"));
  CHECK(contains(refusal("PK\x03\x04" + rest, 50257), "a zip archive"));
  CHECK(contains(refusal("PAR1" + rest, 50257), "a Parquet table"));
  CHECK(contains(refusal("Once upon a time there was a cat.\n", 50257), "found text"));
  CHECK(contains(refusal("caf\xC3\xA9 au lait, s'il vous pla\xC3\xAEt", 50257), "found text"));
  CHECK(load_tokens("Once upon a time there was a cat.\n", 256, of_dtype(at::kByte)).size() == 34);
}

TEST_CASE("documents begin at the token that is named, at BOS, or without one at EOS") {
  TextDataConfig config;
  using Ids = std::vector<int64_t>;
  CHECK(tokens_that_begin_documents(config, 1, {2}) == Ids{1});
  CHECK(tokens_that_begin_documents(config, std::nullopt, {50256}) == Ids{50256});
  CHECK(tokens_that_begin_documents(config, std::nullopt, {}).empty());
  config.document_token = 7;
  CHECK(tokens_that_begin_documents(config, 1, {2}) == Ids{7});
  CHECK(contains(caught([&] { load_tokens(little_endian(kIds, 2), 7, config); }).what(),
                 "data.document_token"));
}

}  // namespace
}  // namespace bilens::token_layout_test
