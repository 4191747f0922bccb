#include "bilens/io/llama2c.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "impostors.h"
#include "mapped_file.h"
#include "tensor_over.h"

namespace bilens {

namespace {

constexpr char kMagic[] = {'2', '4', 'k', 'a'};  // 0x616b3432, little-endian
constexpr size_t kLegacyHeader = 7 * sizeof(int32_t), kHeader = 256;
constexpr int64_t kMaxLayers = 10'000, kMaxPositions = 1 << 24;

Error bad_llama2c(const std::string& where, const std::string& expected, const std::string& found,
                  const std::string& fix = "The file is damaged, or no llama2.c model.") {
  return Error(ExitCode::kBadInput, {where, expected, found, fix});
}

int32_t read_int(const char* data) {
  int32_t value = 0;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

Llama2cHeader read_sizes(const char* data) {
  const auto at = [&](size_t i) { return int64_t{read_int(data + i * sizeof(int32_t))}; };
  return {0, at(0), at(1), at(2), at(3), at(4), at(5), at(6), false, 0};
}

/// Version 0: a negative vocabulary stands for a head of its own.
Llama2cHeader read_legacy_header(const char* data) {
  Llama2cHeader header = read_sizes(data);
  header.shared_classifier = header.vocab_size > 0;
  header.vocab_size = std::abs(header.vocab_size);
  return header;
}

/// Magic number, version, the sizes, whether the head is shared, and of version 2 the size of a group.
Llama2cHeader read_header(const char* data, const std::string& where) {
  const int32_t version = read_int(data + 4);
  if (version != 1 && version != 2) {
    throw bad_llama2c(where + ": version", "1 or 2", std::to_string(version),
                      "Export it again with one of these.");
  }
  const int shared = static_cast<unsigned char>(data[8 + kLegacyHeader]);
  if (shared > 1) throw bad_llama2c(where + ": shared_classifier", "0 or 1", std::to_string(shared));
  Llama2cHeader header = read_sizes(data + 8);
  header.version = version;
  header.shared_classifier = shared == 1;
  if (version == 2) header.group_size = read_int(data + 9 + kLegacyHeader);
  return header;
}

void check(const Llama2cHeader& header, const std::string& where) {
  const std::pair<const char*, int64_t> sizes[] = {
      {"dim", header.dim},         {"hidden_dim", header.hidden_dim}, {"n_layers", header.n_layers},
      {"n_heads", header.n_heads}, {"n_kv_heads", header.n_kv_heads}, {"vocab_size", header.vocab_size},
      {"seq_len", header.seq_len}};
  for (const auto& [name, size] : sizes) {
    if (size <= 0 || size > INT32_MAX)
      throw bad_llama2c(where + ": " + name, "a positive size", std::to_string(size));
  }
  const auto at_most = [&](const char* name, int64_t size, int64_t most) {
    if (size > most)
      throw bad_llama2c(where + ": " + name, "at most " + std::to_string(most), std::to_string(size));
  };
  if (header.version == 2 && header.group_size <= 0)
    throw bad_llama2c(where + ": group_size", "a positive size", std::to_string(header.group_size));
  at_most("n_layers", header.n_layers, kMaxLayers);
  at_most("seq_len", header.seq_len, kMaxPositions);
  if (header.dim % header.n_heads != 0 || header.head_dim() % 2 != 0) {
    throw bad_llama2c(where + ": n_heads",
                      "heads of an even size that fill dim " + std::to_string(header.dim),
                      std::to_string(header.n_heads));
  }
  if (header.n_heads % header.n_kv_heads != 0) {
    throw bad_llama2c(where + ": n_kv_heads", "a divisor of n_heads " + std::to_string(header.n_heads),
                      std::to_string(header.n_kv_heads));
  }
}

/// Tensors one behind the other. They are named only once it is known that the file has room for them.
class Layout {
 public:
  Layout(std::string where, size_t begin) : where_(std::move(where)), end_(begin) {}

  void add(const std::string& name, const std::vector<int64_t>& shape) { place({"", name, shape, 1, end_}); }
  /// One in each layer.
  void add(int64_t layers, const std::string& name, const std::vector<int64_t>& shape) {
    place({"model.layers.", name, shape, layers, end_});
  }
  void skip(const std::vector<int64_t>& shape) { place({"", "", shape, 1, end_}); }

  /// What is added from here on is quantised: a byte a number, and a scale in float32 for each group of
  /// these.
  void quantise(int64_t group_size) { group_size_ = group_size; }

  size_t end() const { return end_; }
  void name_all(std::map<std::string, TensorInfo>& tensors) const {
    for (const auto& block : blocks_) {
      const size_t bytes = block.bytes;
      for (int64_t i = 0; i < block.count && !block.name.empty(); ++i) {
        const std::string name =
            block.prefix.empty() ? block.name : block.prefix + std::to_string(i) + "." + block.name;
        const size_t begin = block.begin + static_cast<size_t>(i) * bytes;
        tensors.emplace(name, TensorInfo{at::kFloat, block.shape, begin, begin + bytes});
      }
    }
  }

 private:
  struct Block {
    std::string prefix, name;
    std::vector<int64_t> shape;
    int64_t count;
    size_t begin, bytes = 0;  // of one of them
  };

  Error too_large() const { return bad_llama2c(where_, "sizes that fit into memory", "larger ones"); }

  /// Bytes of one tensor in the file. @throws Error(kBadInput)
  size_t bytes_of(const Block& block) const {
    const auto floats = tensor_bytes(at::kFloat, block.shape);
    if (!floats) throw too_large();
    if (group_size_ == 0) return *floats;
    const size_t numbers = *floats / sizeof(float), group = static_cast<size_t>(group_size_);
    if (numbers % group != 0) {
      throw bad_llama2c(where_ + ": group_size",
                        "a divisor of the " + std::to_string(numbers) + " numbers of " + block.name,
                        std::to_string(group_size_));
    }
    return numbers + numbers / group * sizeof(float);
  }

  void place(Block block) {
    block.bytes = bytes_of(block);
    size_t all = 0;
    if (__builtin_mul_overflow(block.bytes, static_cast<size_t>(block.count), &all) ||
        __builtin_add_overflow(end_, all, &end_))
      throw too_large();
    blocks_.push_back(std::move(block));
  }

  std::string where_;
  size_t end_;
  int64_t group_size_ = 0;  // 0: float32
  std::vector<Block> blocks_;
};

/// Version 0.
Layout lay_out_legacy(const Llama2cHeader& h, const std::string& where) {
  const int64_t kv_dim = h.n_kv_heads * h.head_dim(), n = h.n_layers;
  Layout layout(where, kLegacyHeader);
  layout.add("model.embed_tokens.weight", {h.vocab_size, h.dim});
  layout.add(n, "input_layernorm.weight", {h.dim});
  layout.add(n, "self_attn.q_proj.weight", {h.dim, h.dim});
  layout.add(n, "self_attn.k_proj.weight", {kv_dim, h.dim});
  layout.add(n, "self_attn.v_proj.weight", {kv_dim, h.dim});
  layout.add(n, "self_attn.o_proj.weight", {h.dim, h.dim});
  layout.add(n, "post_attention_layernorm.weight", {h.dim});
  layout.add(n, "mlp.gate_proj.weight", {h.hidden_dim, h.dim});
  layout.add(n, "mlp.down_proj.weight", {h.dim, h.hidden_dim});
  layout.add(n, "mlp.up_proj.weight", {h.hidden_dim, h.dim});
  layout.add("model.norm.weight", {h.dim});
  layout.skip({2, h.seq_len, h.head_dim() / 2});  // cosines and sines of the rotary angles
  if (!h.shared_classifier) layout.add("lm_head.weight", {h.vocab_size, h.dim});
  return layout;
}

/// Version 1, and 2.
Layout lay_out(const Llama2cHeader& h, const std::string& where) {
  const int64_t kv_dim = h.n_kv_heads * h.head_dim(), n = h.n_layers;
  Layout layout(where, kHeader);
  layout.add(n, "input_layernorm.weight", {h.dim});
  layout.add(n, "post_attention_layernorm.weight", {h.dim});
  layout.add("model.norm.weight", {h.dim});
  if (h.version == 2) layout.quantise(h.group_size);
  layout.add("model.embed_tokens.weight", {h.vocab_size, h.dim});
  layout.add(n, "self_attn.q_proj.weight", {h.dim, h.dim});
  layout.add(n, "self_attn.k_proj.weight", {kv_dim, h.dim});
  layout.add(n, "self_attn.v_proj.weight", {kv_dim, h.dim});
  layout.add(n, "self_attn.o_proj.weight", {h.dim, h.dim});
  layout.add(n, "mlp.gate_proj.weight", {h.hidden_dim, h.dim});
  layout.add(n, "mlp.down_proj.weight", {h.dim, h.hidden_dim});
  layout.add(n, "mlp.up_proj.weight", {h.hidden_dim, h.dim});
  if (!h.shared_classifier) layout.add("lm_head.weight", {h.vocab_size, h.dim});
  return layout;
}

/// The scales of a quantised tensor, which stand behind its codes, one for each group.
/// @throws Error(kBadInput) for numbers that are no scales: codes stand there where an export.py from before
/// runq.c wrote all scales behind all codes
at::Tensor read_scales(const char* codes, int64_t numbers, int64_t group_size, const std::string& where) {
  auto scales = at::empty({numbers / group_size, 1}, at::kFloat);
  std::memcpy(scales.mutable_data_ptr(), codes + numbers, scales.nbytes());
  const auto good = at::isfinite(scales).logical_and_(scales.signbit().logical_not_());
  if (good.all().item<bool>()) return scales;
  const auto bad = scales.masked_select(good.logical_not_())[0].item<float>();
  throw bad_llama2c(where, "scales that are finite and not negative behind its codes", std::to_string(bad),
                    "The file is damaged, or of an export.py older than runq.c: export it again.");
}

/// The codes times the scales of their groups, each product rounded to float32 as runq.c has it.
at::Tensor dequantise(const std::shared_ptr<const char>& codes, at::IntArrayRef shape, int64_t group_size,
                      const std::string& where) {
  const int64_t numbers = c10::multiply_integers(shape);
  const auto scales = read_scales(codes.get(), numbers, group_size, where);
  const auto groups = tensor_over(codes, at::kChar, {numbers / group_size, group_size});
  return groups.to(at::kFloat).mul_(scales).reshape(shape);
}

}  // namespace

bool is_llama2c(const std::string& start) { return start.compare(0, 4, std::string(kMagic, 4)) == 0; }

at::Tensor rotary_rows_to_halves(const at::Tensor& rows, int64_t heads) {
  return rows.reshape({heads, -1, 2, rows.size(1)}).transpose(1, 2).reshape(rows.sizes());
}

Llama2cFile::Llama2cFile(const std::filesystem::path& path) : Llama2cFile(path, map_file(path)) {}

Llama2cFile::Llama2cFile(const std::filesystem::path& path, const MappedFile& file) : WeightFile(path, file) {
  data_ = file.data;
  const bool marked = is_llama2c(file.start(4));
  if (!marked) refuse_impostors(path, file);
  if (file.size < (marked ? kHeader : kLegacyHeader)) {
    throw bad_llama2c(path.string(),
                      "a llama2.c header of " + std::to_string(marked ? kHeader : kLegacyHeader) + " bytes",
                      std::to_string(file.size) + " bytes");
  }
  header_ = marked ? read_header(data_.get(), path.string()) : read_legacy_header(data_.get());
  check(header_, path.string() + " (read as llama2.c)");
  const Layout layout = marked ? lay_out(header_, path.string()) : lay_out_legacy(header_, path.string());
  if (layout.end() != file.size) {
    throw bad_llama2c(path.string(), std::to_string(layout.end()) + " bytes by llama2.c's header",
                      std::to_string(file.size) + " bytes");
  }
  layout.name_all(tensors_);
  if (header_.version == 2) {  // says at once whether the scales are where they are looked for
    const auto& [name, info] = *tensors_.find("model.embed_tokens.weight");
    read_scales(data_.get() + info.begin, info.elements(), header_.group_size, path.string() + ": " + name);
  }
}

at::Tensor Llama2cFile::load(const std::string& name, const TensorInfo& info) const {
  const std::shared_ptr<const char> begin(data_, data_.get() + info.begin);
  const bool quantised = header_.version == 2 && info.shape.size() > 1;
  const auto stored = quantised
                          ? dequantise(begin, info.shape, header_.group_size, path_.string() + ": " + name)
                          : tensor_over(begin, info.dtype, info.shape);
  if (name.ends_with(".q_proj.weight")) return rotary_rows_to_halves(stored, header_.n_heads);
  if (name.ends_with(".k_proj.weight")) return rotary_rows_to_halves(stored, header_.n_kv_heads);
  return stored;
}

}  // namespace bilens
