#include "bilens/io/torch_file.h"

#include <ATen/ATen.h>

#include "caught.h"
#include "stored_zip.h"
#include "temporary_folder.h"

namespace bilens::torch_file_test {
namespace {

using test::caught;
using test::contains;

std::filesystem::path fixture(const std::string& name) { return "tests/io/fixtures/" + name; }

at::Tensor counted(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  return at::arange(c10::multiply_integers(shape)).reshape(shape).to(dtype);
}

// --- Pickles by hand, in the words of pickletools

std::string text(const std::string& value) {
  const auto size = static_cast<uint32_t>(value.size());
  return "X" + std::string(reinterpret_cast<const char*>(&size), 4) + value;
}
std::string integer(int32_t value) { return "J" + std::string(reinterpret_cast<const char*>(&value), 4); }
std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string tuple(const std::string& items) { return "(" + items + "t"; }
std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
std::string dict(const std::string& items) { return "}(" + items + "u"; }
std::string storage(int32_t elements, const std::string& type = "FloatStorage", const std::string& key = "0",
                    const std::string& module = "torch") {
  return tuple(text("storage") + global(module, type) + text(key) + text("cpu") + integer(elements)) + "Q";
}
std::string tensor(const std::string& storage, int32_t offset, const std::string& shape,
                   const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage + integer(offset) + tuple(shape) + tuple(strides) + "\x89" + dict("")) + "R";
}
/// Four numbers of a storage of four.
std::string four() { return tensor(storage(4), 0, integer(4), integer(1)); }
/// What a hostile pickle would run.
std::string evil() { return global("os", "system") + tuple(text("touch /tmp/owned")) + "R"; }

std::string archive(const std::string& pickle, const std::string& numbers = std::string(16, '\0')) {
  return test::stored_zip({{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", numbers}});
}

class Written {
 public:
  explicit Written(const std::string& bytes) : path_(folder_ / "w.pt") { test::write_file(path_, bytes); }
  TorchFile open() const { return TorchFile(path_); }
  std::string refusal() const {
    const auto error = caught([&] { open(); });
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(contains(error.what(), "w.pt"));
    return error.what();
  }

 private:
  test::TemporaryFolder folder_;
  std::filesystem::path path_;
};

std::string refusal_of(const std::string& body) { return Written(archive(pickle(body))).refusal(); }

TEST_CASE("every dtype that torch.save writes comes back") {
  const TorchFile file(fixture("dtypes.pt"));
  const std::pair<const char*, at::ScalarType> dtypes[] = {
      {"float32", at::kFloat},     {"float64", at::kDouble}, {"float16", at::kHalf},
      {"bfloat16", at::kBFloat16}, {"int64", at::kLong},     {"int32", at::kInt},
      {"int16", at::kShort},       {"int8", at::kChar},      {"uint8", at::kByte},
      {"uint16", at::kUInt16},     {"uint32", at::kUInt32},  {"float8_e4m3fn", at::kFloat8_e4m3fn}};
  for (const auto& [name, dtype] : dtypes) {
    CAPTURE(name);
    CHECK(file.tensor(name).scalar_type() == dtype);
    CHECK(at::equal(file.tensor(name).to(at::kFloat), counted({2, 3})));
    CHECK(file.tensors().at(name).elements() == 6);
  }
  CHECK(at::equal(file.tensor("bool"), at::tensor({1, 0, 1}).to(at::kBool)));
  CHECK(file.tensor("scalar").item<double>() == 2.5);
  CHECK(file.tensor("empty").sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("transposed, sliced, shared and expanded tensors are views with torch's strides") {
  const TorchFile file(fixture("views.pt"));
  const auto whole = counted({4, 6});
  CHECK(at::equal(file.tensor("whole"), whole));
  CHECK(at::equal(file.tensor("transposed"), whole.t()));
  CHECK(at::equal(file.tensor("rows"), whole.narrow(0, 1, 2)));
  CHECK(at::equal(file.tensor("columns"), whole.slice(1, 0, 6, 2)));
  CHECK(file.tensor("tied").const_data_ptr() == file.tensor("whole").const_data_ptr());  // no copy
  CHECK(file.tensor("rows").storage_offset() == 0);
  CHECK(at::equal(file.tensor("expanded"), at::ones({3})));
  CHECK(at::equal(file.tensor("parameter"), counted({2})));
}

TEST_CASE("a state_dict of any protocol, and one that was compressed, is the same") {
  for (const char* name :
       {"state_dict.bin", "protocol_3.pt", "protocol_4.pt", "protocol_5.pt", "deflated.bin"}) {
    CAPTURE(name);
    const TorchFile file(fixture(name));
    CHECK(file.tensors().size() == 2);
    CHECK(at::equal(file.tensor("embed.weight"), counted({2, 3})));
    CHECK(at::equal(file.tensor("embed.bias"), counted({2})));
  }
}

TEST_CASE("the model is found in a training checkpoint, whatever else is in it") {
  const TorchFile file(fixture("checkpoint.pth"));
  CHECK(file.tensors().size() == 2);
  CHECK(at::equal(file.tensor("module._orig_mod.embed.weight"), counted({2, 3})));
}

TEST_CASE(
    "the sizes that a training checkpoint keeps beside its model are read, as far as they are scalars") {
  const std::string real = std::string("G\x3f\xf8", 3) + std::string(6, '\0');  // 1.5, big-endian
  const std::string args =
      dict(text("dim") + integer(288) + text("dropout") + real + text("bias") + "\x89" + text("n_kv_heads") +
           "N" + text("arch") + text("llama") + text("what") + evil() + integer(7) + integer(8) +
           text("\xff") + integer(1) + text("bad") + text("\xff"));
  const auto opened = [&](const std::string& items) { return Written(archive(pickle(dict(items)))).open(); };
  const std::string model = text("model") + dict(text("w.weight") + four());
  CHECK(opened(model + text("model_args") + args).model_args() ==
        Json({{"dim", 288}, {"dropout", 1.5}, {"bias", false}, {"n_kv_heads", nullptr}, {"arch", "llama"}}));
  CHECK(opened(model + text("model_args") + args).tensors().size() == 1);
  CHECK(opened(model).model_args().is_null());
  CHECK(opened(model + text("model_args") + integer(1)).model_args().is_null());
  std::string many;
  for (int i = 0; i < 1001; ++i) many += text(std::to_string(i)) + integer(i);
  CHECK(contains(refusal_of(dict(model + text("model_args") + dict(many))),
                 "model_args: expected at most 1000"));
}

TEST_CASE("a tensor outlives the file") {
  const auto bias = TorchFile(fixture("state_dict.bin")).tensor("embed.bias");
  CHECK(at::equal(bias, counted({2})));
}

TEST_CASE("a whole module and PyTorch's format before 1.6 are refused with what to do") {
  CHECK(contains(caught([] { TorchFile file(fixture("module.pt")); }).what(), "model.state_dict()"));
  CHECK(contains(caught([] { TorchFile file(fixture("legacy.pt")); }).what(), "weights_only=True"));
}

TEST_CASE("a global outside the whitelist is never called, and an error only where a tensor needs it") {
  const Written bystander(archive(pickle(dict(text("w") + four() + text("note") + evil()))));
  CHECK(bystander.open().tensors().size() == 1);
  CHECK(contains(caught([&] { bystander.open().tensor("note"); }).what(), "found an object of os.system"));
  CHECK(contains(refusal_of(dict(text("w") + four() + text("a.weight") + evil())),
                 "a.weight: expected a tensor, found an object of os.system"));
  CHECK(contains(refusal_of(dict(text("w") + evil())), "os.system"));
  CHECK(contains(refusal_of(evil()), "os.system"));
  CHECK(contains(refusal_of(dict(text("w") + tensor(evil(), 0, integer(4), integer(1)))),
                 "found an object of os.system"));
  CHECK(contains(refusal_of(dict(text("w") + tensor(storage(4), 0, evil(), integer(1)))), "os.system"));
  const std::string hidden =
      tuple(text("storage") + global("os", "system") + text("0") + text("cpu") + integer(4)) + "Q";
  CHECK(contains(refusal_of(dict(text("w") + tensor(hidden, 0, integer(4), integer(1)))), "os.system"));
  CHECK(contains(
      refusal_of(dict(text("w") + global("torch._utils", "_rebuild_sparse_tensor") + tuple("") + "R")),
      "torch._utils._rebuild_sparse_tensor"));
  // Its state and items go nowhere, whether given by BUILD, SETITEMS or APPENDS.
  const std::string object = evil() + dict(text("a") + integer(1)) + "b" + "(" + text("k") + integer(1) + "u";
  CHECK(Written(archive(pickle(dict(text("w") + four() + text("x") + object)))).open().tensors().size() == 1);
  CHECK_FALSE(std::filesystem::exists("/tmp/owned"));
}

TEST_CASE("a tensor that is not dense or of another dtype is listed, and refused where it is needed") {
  const auto check = [&](const std::string& value, const std::string& kind,
                         const std::vector<int64_t>& shape) {
    const auto file = Written(archive(pickle(dict(text("a.weight") + value + text("w") + four())))).open();
    CHECK(file.tensor("w").numel() == 4);
    CHECK(file.tensors().at("a.weight").stored_as() == kind);
    CHECK(file.tensors().at("a.weight").shape == shape);
    const auto error = caught([&] { file.tensor("a.weight"); });
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(contains(error.what(), "a.weight: expected a dense tensor"));
    CHECK(contains(error.what(), "found " + kind));
  };
  const auto rebuilt = [](const std::string& name, const std::string& arguments) {
    return global("torch._utils", name) + tuple(arguments) + "R";
  };
  check(tensor(storage(2, "ComplexFloatStorage"), 0, integer(2), integer(1)), "torch.ComplexFloatStorage",
        {2});
  check(rebuilt("_rebuild_sparse_tensor", ""), "torch._utils._rebuild_sparse_tensor", {0});
  check(rebuilt("_rebuild_sparse_tensor",
                global("torch", "sparse_coo") + tuple(four() + four() + tuple(integer(3) + integer(5)))),
        "torch._utils._rebuild_sparse_tensor", {3, 5});
  check(rebuilt("_rebuild_qtensor",
                storage(4, "QInt8Storage") + integer(0) + tuple(integer(4)) + tuple(integer(1))),
        "torch._utils._rebuild_qtensor", {4});
  check(rebuilt("_rebuild_tensor_v3", storage(4, "UntypedStorage", "0", "torch.storage") + integer(0) +
                                          tuple(integer(4)) + tuple(integer(1)) + "\x89" + dict("") +
                                          global("torch", "float8_e8m0fnu")),
        "torch.float8_e8m0fnu", {4});
  // A sign that was put off: -x is meant where x is stored.
  check(rebuilt("_rebuild_tensor_v2", storage(4) + integer(0) + tuple(integer(4)) + tuple(integer(1)) +
                                          "\x89" + dict("") + dict(text("neg") + "\x88")),
        "a tensor whose conjugate or negative is meant", {4});
  const std::string huge = std::string("\x8a\x08", 2) + std::string(7, '\xff') + "\x7f";  // 2^63 - 1
  CHECK(contains(refusal_of(dict(text("w") + four() + text("c") +
                                 tensor(storage(2, "ComplexFloatStorage"), 0, huge + huge, huge + huge))),
                 "c: expected a shape that fits into memory"));
}

TEST_CASE("a tensor beyond its storage is refused") {
  const auto refused = [](int32_t offset, const std::string& shape, const std::string& strides,
                          int32_t size = 4) {
    return refusal_of(dict(text("w") + tensor(storage(size), offset, shape, strides)));
  };
  CHECK(contains(refused(1, integer(4), integer(1)),
                 "w: expected shape [4], strides [1], offset 1 inside the storage"));
  CHECK(contains(refused(0, integer(5), integer(1)), "4 elements"));
  CHECK(contains(refused(0, integer(2), integer(4)), "4 elements"));
  CHECK(contains(refused(0, integer(-1), integer(1)), "found the number -1"));
  CHECK(contains(refused(0, integer(2), integer(-1)), "found the number -1"));
  CHECK(contains(refused(-1, integer(2), integer(1)), "found the number -1"));
  CHECK(contains(refused(5, integer(0), integer(1)), "4 elements"));
  CHECK(contains(refused(0, integer(2) + integer(2), integer(1)), "strides [1]"));
  CHECK(contains(refused(0, integer(4), integer(1), 5), "a storage of 20 bytes, found 16"));
  CHECK(contains(refused(0, integer(4), integer(1), -1), "size of the storage"));
  const std::string huge = std::string("\x8a\x08", 2) + std::string(7, '\xff') + "\x7f";  // 2^63 - 1
  CHECK(contains(refused(0, huge, integer(1)), "inside the storage"));
  CHECK(contains(refused(0, huge + huge, huge + huge), "inside the storage"));
  CHECK(contains(refused(0, huge, integer(0)), "inside the storage"));
  CHECK(contains(refused(0, integer(1'000'000), integer(0)), "no larger than the file"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += integer(1);
  CHECK(contains(refused(0, many, many), "at most 64 counts"));
}

TEST_CASE("a storage that is not in the archive, or of an unknown dtype, is refused") {
  CHECK(contains(
      refusal_of(dict(text("w") + tensor(storage(4, "FloatStorage", "7"), 0, integer(4), integer(1)))),
      "a/data/7"));
  CHECK(contains(
      refusal_of(dict(text("w") + tensor(storage(4, "FloatStorage", "../../x"), 0, integer(4), integer(1)))),
      "none"));
  CHECK(contains(refusal_of(dict(text("w") + tensor(storage(4, "QInt8Storage"), 0, integer(4), integer(1)))),
                 "torch.QInt8Storage"));
  CHECK(contains(refusal_of(dict(text("w") + global("torch._utils", "_rebuild_tensor_v2") + tuple("") + "R")),
                 "0 values"));
}

TEST_CASE("dictionaries that contain themselves end, as do names that multiply") {
  CHECK(contains(refusal_of("}q\x01" + text("a") + "h\x01s"), "contains itself"));
  CHECK(contains(refusal_of("}q\x01" + text("model") + "h\x01s"), "contains itself"));
  // Each of 64 dictionaries holds the next one ten times.
  std::string body = dict(text("w") + four());
  for (int i = 1; i < 30; ++i) {
    body += "q" + std::string(1, static_cast<char>(i + 20)) + "0}(";
    for (int k = 0; k < 10; ++k) body += text(std::to_string(k)) + "h" + static_cast<char>(i + 20);
    body += "u";
  }
  CHECK(contains(refusal_of(body), "at most 1000000 names"));
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "]";
  for (int i = 1; i < 100'000; ++i) nested += "a";
  CHECK(contains(refusal_of(nested), "found a list"));
}

TEST_CASE("damaged pickles are refused at the byte") {
  const auto refused = [](const std::string& bytes) { return Written(archive(bytes)).refusal(); };
  CHECK(contains(refused(""), "data.pkl at byte 0: expected 1 more bytes, found 0"));
  CHECK(contains(refused("\x80\x01."), "protocol 2 to 5, found 1"));
  CHECK(contains(refused("\x80\x02"), "at byte 2"));
  CHECK(contains(refused(pickle("X\xff\xff\xff\x7f")), "expected 2147483647 more bytes"));
  CHECK(
      contains(refused(pickle("\x8d" + std::string(8, '\xff'))), "expected 18446744073709551615 more bytes"));
  CHECK(contains(refused(pickle("\x8b\xff\xff\xff\xff")), "more bytes"));
  for (const char* body :
       {"",   "t", "R", "a", "u",     "s",   "e",   "Q",     "b",    "\x85", "\x87", "\x93", "(",
        "(.", "0", "1", "2", "h\x01", "NNR", "NNa", "N(NNu", "}(Nu", "(Nd",  "q",    "cos",  "NN\x93"}) {
    CAPTURE(body);
    CHECK(contains(refused(pickle(body)), "data.pkl at byte"));
  }
  CHECK(contains(refused(pickle("I1\n")), "protocol 0 or 1"));
  CHECK(contains(refused(pickle("\xff")), "0xff"));
  CHECK(contains(refused(pickle("N")), "found None"));
  CHECK(contains(refused(pickle("}")), "an empty one"));
}

TEST_CASE("damaged archives are refused") {
  const std::string good = archive(pickle(dict(text("w") + four())));
  CHECK(Written(good).open().tensor("w").numel() == 4);
  for (size_t cut = 0; cut < good.size(); cut += 7) {
    CAPTURE(cut);
    Written(good.substr(0, cut)).refusal();
  }
  std::string flipped = good;
  flipped[good.find("torch._utils")] = 'T';
  CHECK(contains(Written(flipped).refusal(), "checksum"));
  CHECK(contains(Written(test::stored_zip({{"a/x", ""}})).refusal(), "data.pkl"));
  CHECK(contains(Written(test::stored_zip({{"a/data.pkl", ""}, {"a/data.pkl", ""}})).refusal(), "twice"));
  CHECK(contains(Written(test::stored_zip({{"a/data.pkl", ""}, {"a/byteorder", "big"}})).refusal(),
                 "little-endian"));
  CHECK(contains(Written("version https://git-lfs.github.com/spec/v1\n").refusal(), "Git-LFS pointer"));
  CHECK(contains(Written("<!DOCTYPE html>").refusal(), "HTML page"));
}

}  // namespace
}  // namespace bilens::torch_file_test
