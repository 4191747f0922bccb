#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <vector>

#include "bilens/core/fields.h"
#include "bilens/nn/bilinear_mlp.h"

namespace bilens {

/// Shape and data contract of an image classifier; config.json of its model directory.
struct ClassifierConfig {
  std::string type = "bilinear_mlp";
  int64_t d_input = 784;
  int64_t d_model = 256;
  int64_t d_hidden = 256;
  int64_t d_output = 10;
  int64_t n_layers = 1;
  Gate gate = Gate::kNone;
  bool bias = false;
  bool residual = false;
  bool down_proj = false;
  std::vector<int64_t> image_shape = {28, 28};  // height, width
  double pixel_mean = 0.0;
  double pixel_std = 1.0;

  /// What a training config chooses; the rest comes from the data.
  static const FieldTable<ClassifierConfig>& architecture_fields();
  /// All keys, as config.json has them (model_type in place of type).
  static const FieldTable<ClassifierConfig>& model_fields();

  /// Contradictions between keys.
  void check(const std::string& where, std::vector<Problem>& problems) const;
  /// Name and shape of every parameter.
  std::vector<std::pair<std::string, std::vector<int64_t>>> parameter_shapes() const;
  /// Number of parameters.
  int64_t parameter_count() const;
};

/// h₀ = E x;  hᵢ₊₁ = [hᵢ +] MLPᵢ(hᵢ);  logits = H hₙ   (arXiv 2410.08417, section 3).
/// Parameters: embed.weight E [d_model, d_input], layers.N.mlp.*, head.weight H [d_output, d_model].
class ImageClassifierImpl : public torch::nn::Module {
 public:
  explicit ImageClassifierImpl(const ClassifierConfig& config);

  /// @param x float32 [batch, d_input], normalised pixels
  /// @return logits [batch, d_output]
  at::Tensor forward(const at::Tensor& x);

  /// The input of each MLP and, last, of the head: n_layers + 1 tensors [batch, d_model].
  std::vector<at::Tensor> hidden_states(const at::Tensor& x);

  const ClassifierConfig config;
  torch::nn::Linear embed{nullptr}, head{nullptr};
  std::vector<BilinearMlp> mlps;
};
TORCH_MODULE(ImageClassifier);

}  // namespace bilens
