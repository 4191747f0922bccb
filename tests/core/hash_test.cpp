#include "bilens/core/sha256.h"

#include "caught.h"
#include "temporary_folder.h"

namespace bilens::hash_test {
namespace {

std::string sha256(const std::string& text) {
  Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.hex();
}

TEST_CASE("SHA-256 of the examples of FIPS 180-4") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("a file longer than the read buffer has the hash of its bytes, in however many updates") {
  const std::string million(1'000'000, 'a');
  const std::string known = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
  CHECK(sha256(million) == known);
  const test::TemporaryFolder folder;
  test::write_file(folder / "a", million + million);
  Sha256 twice;
  for (int i = 0; i < 2; ++i) twice.update(million.data(), million.size());
  CHECK(sha256_of_file(folder / "a") == twice.hex());
  test::write_file(folder / "b", million);
  CHECK(sha256_of_file(folder / "b") == known);
  CHECK(test::caught([&] { sha256_of_file(folder / "none"); }).code() == ExitCode::kBadInput);
}

}  // namespace
}  // namespace bilens::hash_test
