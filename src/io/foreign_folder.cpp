#include "bilens/io/foreign_folder.h"

#include <algorithm>

#include "bilens/core/files.h"
#include "bilens/core/json.h"
#include "bilens/io/hub_cache.h"

namespace bilens {

namespace fs = std::filesystem;

namespace {

constexpr const char* kExpected =
    "model.safetensors, pytorch_model.bin or the .index.json of one of them, with config.json";

struct Mark {
  const char *file, *found, *fix;
};

/// Files that say by their names what a folder is; in `fix` # is the folder.
constexpr Mark kMarks[] = {
    {"lit_model.pth", "LitGPT's weights (lit_model.pth) without a config",
     "Put its model_config.yaml, or lit_config.json, into #."},
    {"ckpt.pt", "the folder of a training script (ckpt.pt)",
     "`bilens convert #/ckpt.pt OUT` writes a Llama of llama2.c as a model directory."},
    {"tf_model.h5", "TensorFlow's weights (tf_model.h5)",
     "AutoModel.from_pretrained(\"#\", from_tf=True).save_pretrained(OUT) writes safetensors."},
    {"flax_model.msgpack", "Flax weights (flax_model.msgpack)",
     "AutoModel.from_pretrained(\"#\", from_flax=True).save_pretrained(OUT) writes safetensors."},
    {"model.onnx", "an ONNX graph (model.onnx)", "Name the weights that it was made of."}};

std::string with_folder(const std::string& text, const fs::path& folder) {
  const auto at = text.find('#');
  return at == std::string::npos ? text : text.substr(0, at) + folder.string() + text.substr(at + 1);
}

/// The base that an adapter was trained for, as its config names it.
std::string base_of(const fs::path& config) {
  const Json json = read_json(config, ExitCode::kBadInput);
  const Json base = json.is_object() ? json.value("base_model_name_or_path", Json()) : Json();
  return base.is_string() ? base.get<std::string>() : "its base";
}

bool holds_gguf(const fs::path& folder) {
  return std::any_of(fs::directory_iterator(folder), fs::directory_iterator(),
                     [](const auto& entry) { return entry.path().extension() == ".gguf"; });
}

}  // namespace

std::optional<Problem> describe_foreign_folder(const fs::path& path) {
  if (!fs::is_directory(path)) return std::nullopt;
  const auto problem = [&](const std::string& found, const std::string& fix) {
    return Problem{path.string(), kExpected, found, fix};
  };
  if (fs::exists(path / "consolidated.00.pth") || fs::exists(path / "consolidated.safetensors")) {
    if (!fs::exists(path / "params.json"))
      return problem("Meta's layout without its params.json", "Put params.json beside consolidated.00.pth.");
  }
  if (const auto config = path / "adapter_config.json"; fs::exists(config)) {
    return problem("an adapter (LoRA) without " + base_of(config),
                   "Merge it in PEFT: AutoPeftModelForCausalLM.from_pretrained(\"" + path.string() +
                       "\").merge_and_unload().save_pretrained(OUT).");
  }
  if (is_hub_cache(path)) {
    return problem("a model in the cache of the hub", "Name its snapshot: " + cached_snapshot(path).string());
  }
  for (const auto& [file, found, fix] : kMarks) {
    if (fs::exists(path / file)) return problem(found, with_folder(fix, path));
  }
  if (holds_gguf(path))
    return problem("GGUF files of llama.cpp",
                   "Name the model that they were made of, in Hugging Face's layout.");
  return std::nullopt;
}

}  // namespace bilens
