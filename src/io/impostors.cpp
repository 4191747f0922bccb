#include "impostors.h"

#include <algorithm>

#include "bilens/core/error.h"
#include "bilens/core/utf8.h"

namespace bilens {

namespace {

constexpr size_t kStart = 512;

struct Format {
  std::string magic;
  size_t at;
  const char *found, *fix;
};

const char* const kFromModel =
    "Name the model that it was made of: a folder with config.json and model.safetensors.";
const char* const kUnpack = "Unpack it, and name the model or the weight file inside.";

const Format kFormats[] = {
    {"version ", 0, "a Git-LFS pointer", "Fetch the real file, for example with `git lfs pull`."},
    {"GGUF", 0, "a GGUF file of llama.cpp", kFromModel},
    {"lmgg", 0, "a GGML file of llama.cpp", kFromModel},
    {"tjgg", 0, "a GGML file of llama.cpp", kFromModel},
    {"\x93NUMPY", 0, "a NumPy array (.npy)",
     "Store it under a name: safetensors.numpy.save_file({NAME: numpy.load(FILE)}, "
     "\"weights.safetensors\")."},
    {"\x89HDF\r\n", 0, "an HDF5 file (Keras, TensorFlow)",
     "Load it where it was made, and store its tensors with safetensors.numpy.save_file."},
    {"ustar", 257, "a tar archive",
     "Unpack it with `tar -xf`, and name the model or the weight file inside."},
    {"\x1f\x8b\x08", 0, "a gzip file", "Unpack it with `gunzip` or `tar -xzf`, and name what is inside."},
    {"BZh", 0, "a bzip2 file", kUnpack},
    {"\xfd"
     "7zXZ",
     0, "an xz file", kUnpack},
    {"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive", kUnpack},
    {"\x28\xb5\x2f\xfd", 0, "a zstd file", kUnpack}};

struct Extension {
  const char *extension, *found, *fix;
};

/// Formats without a mark of their own.
constexpr Extension kExtensions[] = {
    {".onnx", "an ONNX graph", "Name the PyTorch or safetensors weights that it was made of."},
    {".msgpack", "Flax weights",
     "Store them as PyTorch: AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(OUT)."},
    {".model", "a tokenizer", "Name the folder that it lies in, or the weight file."}};

bool is_page(const std::string& start) {
  const auto text = start.find_first_not_of(" \t\r\n");
  if (text == std::string::npos) return false;
  for (const std::string page : {"<!", "<html", "<HTML"}) {
    if (start.compare(text, page.size(), page) == 0) return true;
  }
  return false;
}

/// Valid UTF-8 but for a letter that the end cuts, without control characters that texts do not have.
bool is_text(const std::string& start) {
  const auto invalid = first_invalid_utf8(start);
  const bool whole = !invalid || (start.size() == kStart && *invalid + 4 > start.size());
  return !start.empty() && whole && std::all_of(start.begin(), start.end(), [](unsigned char c) {
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0x1b;
  });
}

}  // namespace

void refuse_impostors(const std::filesystem::path& path, const MappedFile& file) {
  const std::string start = file.start(kStart);
  const auto refuse = [&](const std::string& found, const std::string& fix) {
    throw Error(ExitCode::kBadInput, {path.string(), "weights", found, fix});
  };
  for (const auto& [magic, at, found, fix] : kFormats) {
    if (start.size() > at && start.compare(at, magic.size(), magic) == 0) refuse(found, fix);
  }
  if (is_page(start)) refuse("an HTML page", "The download returned an error page: obtain the file again.");
  for (const auto& [extension, found, fix] : kExtensions) {
    if (path.extension() == extension) refuse(found, fix);
  }
  if (is_text(start)) refuse("a text file", "Name the folder of a model, or its weight file.");
}

}  // namespace bilens
