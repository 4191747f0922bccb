#include "bilens/io/torch_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "bilens/core/utf8.h"
#include "bilens/tensor/shape.h"
#include "impostors.h"
#include "pickle.h"
#include "tensor_over.h"
#include "torch_tensor.h"
#include "zip_archive.h"

namespace bilens {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxPickle = size_t{64} << 20;
constexpr int kMaxDepth = 64;
constexpr size_t kMaxNames = 1'000'000;
constexpr size_t kMaxArgs = 1000;

/// Where training scripts keep the model among other things.
const char* const kModelKeys[] = {"model_state_dict", "state_dict", "model", "module"};

Error bad_torch_file(const std::string& where, const std::string& expected, const std::string& found,
                     const std::string& fix) {
  return Error(ExitCode::kBadInput, {where, expected, found, fix});
}

constexpr const char* kSaveStateDict =
    "Save the model's tensors alone: torch.save(model.state_dict(), FILE).";

std::string key_text(const PickleValue& key) {
  return key.is(Kind::kInt) ? std::to_string(key.integer) : key.text;
}

/// The dictionary that holds the model's tensors, behind the keys that scripts use.
const PickleValue& model_of(const PickleValue& root) {
  const PickleValue* found = &root;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const PickleValue* inner = nullptr;
    for (const char* key : kModelKeys) {
      for (size_t i = 0; inner == nullptr && i + 1 < found->items.size(); i += 2) {
        const auto& value = *found->items[i + 1];
        if (found->items[i]->text == key && value.is(Kind::kDict) && !value.items.empty()) inner = &value;
      }
    }
    if (inner == nullptr) break;
    found = inner;
  }
  return *found;
}

/// A number, a string, true or false, None; nothing for what else a pickle may hold.
std::optional<Json> scalar(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone: return Json(nullptr);
    case Kind::kBool: return Json(value.integer != 0);
    case Kind::kInt: return Json(value.integer);
    case Kind::kFloat: return Json(value.real);
    case Kind::kString:
      return first_invalid_utf8(value.text) ? std::nullopt : std::optional(Json(value.text));
    default: return std::nullopt;
  }
}

/// The scalars in the dictionary under "model_args"; null where there is none.
Json model_args_of(const PickleValue& root, const std::string& where) {
  Json args;
  for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const auto& found = *root.items[i + 1];
    if (root.items[i]->text != "model_args" || !found.is(Kind::kDict)) continue;
    if (found.items.size() / 2 > kMaxArgs)
      throw bad_torch_file(where + ": model_args", "at most " + std::to_string(kMaxArgs) + " of them", "more",
                           "");
    args = Json::object();
    for (size_t j = 0; j + 1 < found.items.size(); j += 2) {
      const auto name = scalar(*found.items[j]), value = scalar(*found.items[j + 1]);
      if (name && name->is_string() && value) args[name->get<std::string>()] = *value;
    }
  }
  return args;
}

/// Everything in nested dictionaries that is none, by the keys on the way.
class Flattened {
 public:
  Flattened(const PickleValue& root, std::string where) : where_(std::move(where)) { add(root, "", 0); }

  const std::vector<std::pair<std::string, const PickleValue*>>& values() const { return values_; }

 private:
  void add(const PickleValue& dictionary, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) {
      throw bad_torch_file(where_, "dictionaries at most " + std::to_string(kMaxDepth) + " deep",
                           "more (one that contains itself?)", kSaveStateDict);
    }
    for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
      if (++count_ > kMaxNames)
        throw bad_torch_file(where_, "at most " + std::to_string(kMaxNames) + " names", "more",
                             kSaveStateDict);
      const std::string name = prefix + key_text(*dictionary.items[i]);
      if (name.size() > kMaxName)
        throw bad_torch_file(where_, "names of a reasonable length", "a longer one", "");
      const auto& value = *dictionary.items[i + 1];
      if (value.is(Kind::kDict)) {
        add(value, name + ".", depth + 1);
      } else {
        values_.emplace_back(name, &value);
      }
    }
  }

  static constexpr size_t kMaxName = 1000;
  std::string where_;
  size_t count_ = 0;
  std::vector<std::pair<std::string, const PickleValue*>> values_;
};

/// Names of parameters: what stands there should be a tensor.
bool names_tensor(const std::string& name) { return name.ends_with("weight") || name.ends_with("bias"); }

/// Refuses a pickle of PyTorch before 1.6, which begins with a number of its own, or of any other program.
[[noreturn]] void refuse_pickle(const MappedFile& file, const std::string& where) {
  const std::string mark = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  const bool torch = file.start(2 + mark.size()).substr(2) == mark;
  throw bad_torch_file(where, "a PyTorch checkpoint in its zip format",
                       torch ? "PyTorch's format before 1.6" : "another pickle of Python",
                       torch ? "Write it again: torch.save(torch.load(FILE, weights_only=True), FILE)."
                             : "Load it only where you trust it, and save the model's tensors alone: "
                               "torch.save(model.state_dict(), FILE).");
}

/// The folder in the archive that all entries of the checkpoint are in, with its slash.
std::string folder_of(const ZipArchive& archive, const std::string& where) {
  const std::string name = "/data.pkl";
  for (const auto& item : archive.entries()) {
    const auto slash = item.first.find('/');
    if (slash != std::string::npos && item.first.compare(slash, std::string::npos, name) == 0)
      return item.first.substr(0, slash + 1);
  }
  const std::string expected = "a PyTorch checkpoint: a zip archive with a data.pkl";
  const auto& entries = archive.entries();
  if (entries.empty())
    throw bad_torch_file(where, expected, "an empty zip archive", "Obtain or write the file again.");
  const bool arrays = std::all_of(entries.begin(), entries.end(),
                                  [](const auto& item) { return item.first.ends_with(".npy"); });
  throw bad_torch_file(
      where, expected, arrays ? "NumPy arrays (.npz)" : "another zip archive",
      arrays ? "Store them so: safetensors.numpy.save_file(dict(numpy.load(FILE)), \"weights.safetensors\")."
             : "Unpack it with `unzip`, and name the model or the weight file inside.");
}

std::string read_small(const ZipArchive& archive, const std::string& name, const std::string& where) {
  const size_t size = archive.find(name).size;
  if (size > kMaxPickle) {
    throw bad_torch_file(where + ": " + name, "at most " + std::to_string(kMaxPickle) + " bytes",
                         std::to_string(size), kSaveStateDict);
  }
  std::string text(size, '\0');
  archive.read(name, text.data());
  return text;
}

void check_byte_order(const ZipArchive& archive, const std::string& folder, const std::string& where) {
  if (archive.entries().count(folder + "byteorder") == 0) return;
  const std::string order = read_small(archive, folder + "byteorder", where);
  if (order != "little")
    throw bad_torch_file(where, "little-endian numbers", order.substr(0, 20),
                         "Save it again on this machine.");
}

}  // namespace

bool is_zip(const std::string& start) {
  return start.rfind(std::string("PK\x03\x04"), 0) == 0 || start.rfind(std::string("PK\x05\x06"), 0) == 0;
}

bool is_pickle(const std::string& start) {
  return start.size() >= 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
}

TorchFile::TorchFile(const std::filesystem::path& path) : TorchFile(path, map_file(path)) {}

TorchFile::TorchFile(const std::filesystem::path& path, const MappedFile& file) : WeightFile(path, file) {
  const std::string where = path.string();
  if (is_pickle(file.start(2))) refuse_pickle(file, where);
  refuse_impostors(path, file);
  archive_ = std::make_shared<ZipArchive>(path, file);
  const std::string folder = folder_of(*archive_, where);
  check_byte_order(*archive_, folder, where);
  const std::string text = read_small(*archive_, folder + "data.pkl", where);
  const Pickle pickle(text, where + ": data.pkl");
  if (!pickle.root().is(Kind::kDict))
    throw bad_torch_file(where, "a dictionary of tensors", describe(pickle.root()), kSaveStateDict);

  model_args_ = model_args_of(pickle.root(), where);
  const Flattened found(model_of(pickle.root()), where);
  for (const auto& [name, value] : found.values()) {
    if (is_tensor(*value) || (value->is(Kind::kCall) && names_tensor(name))) {
      add(name, read_torch_tensor(*value, where + ": " + name), folder);
    } else {
      others_[name] = describe(*value);
    }
  }
  if (tensors_.empty()) {
    throw bad_torch_file(
        where, "a dictionary of tensors",
        others_.empty() ? "an empty one" : others_.begin()->second + " under " + others_.begin()->first,
        kSaveStateDict);
  }
  require_readable();
}

void TorchFile::add(const std::string& name, const TorchTensor& tensor, const std::string& folder) {
  const std::string entry = folder + "data/" + tensor.storage, where = path_.string() + ": " + name;
  const auto list = [&](TensorInfo info) {
    if (!tensors_.emplace(name, std::move(info)).second)
      throw bad_torch_file(where, "each tensor once", "it is there twice", "");
  };
  if (!tensor.unreadable.empty()) return list({tensor.dtype, tensor.shape, 0, 0, tensor.unreadable});
  const auto stored = archive_->find(entry);
  if (stored.size != tensor.storage_bytes) {
    throw bad_torch_file(where, "a storage of " + std::to_string(tensor.storage_bytes) + " bytes",
                         std::to_string(stored.size) + " in " + entry,
                         "The file is damaged: obtain or write it again.");
  }
  // Strides of 0 make much of little: a few bytes must not claim all memory.
  if (tensor_bytes(tensor.dtype, tensor.shape).value() > archive_->file().size &&
      tensor.end - tensor.begin < tensor_bytes(tensor.dtype, tensor.shape).value()) {
    throw bad_torch_file(
        where, "a tensor no larger than the file",
        "shape " + describe_shape(tensor.shape) + " by strides " + describe_shape(tensor.strides), "");
  }
  list({tensor.dtype, tensor.shape, tensor.begin, tensor.end});
  places_[name] = {entry, tensor.strides};
}

at::Tensor TorchFile::load(const std::string& name, const TensorInfo& info) const {
  const auto& place = places_.at(name);
  if (info.begin == info.end) return at::empty(info.shape, at::dtype(info.dtype));
  const auto entry = archive_->find(place.entry);
  std::shared_ptr<const char> storage;
  if (entry.stored) {
    const auto& mapped = archive_->file().data;
    storage = {mapped, mapped.get() + entry.begin};
  } else {
    const std::shared_ptr<char> content(new char[entry.size], std::default_delete<char[]>());
    archive_->read(place.entry, content.get());
    storage = content;
  }
  return tensor_over({storage, storage.get() + info.begin}, info.dtype, info.shape, place.strides,
                     info.end - info.begin);
}

Error TorchFile::missing(const std::string& name) const {
  const auto other = others_.find(name);
  if (other == others_.end()) return WeightFile::missing(name);
  return bad_torch_file(path_.string() + ": " + name, "a tensor", other->second,
                        "Such objects are not constructed, as that would execute code from the file.");
}

}  // namespace bilens
