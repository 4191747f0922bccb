#pragma once

#include <optional>
#include <vector>

#include "bilens/train/text_task.h"

namespace bilens {

/// How β falls from 1 to 0.
enum class AnnealShape { kLinear, kCosine, kExponential };

/// Which layers β falls in.
enum class AnnealOrder { kTogether, kFirstToLast, kLastToFirst };

/// The stage that turns SiLU into half the identity: SiLU_β(z) = zσ(βz), β 1 → 0.
struct AnnealConfig {
  double fraction = 0.3;
  AnnealShape shape = AnnealShape::kLinear;
  AnnealOrder order = AnnealOrder::kTogether;
  std::optional<std::vector<int64_t>> layers;  // nothing: all

  bool anneals(int64_t layer) const;
  static const FieldTable<AnnealConfig>& fields();
};

/// β of each layer at a step (counted from 0), a pure function of it: with t from 0 to 1 over the first
/// `fraction` of all steps
///   linear 1 − t,  cosine ½(1 + cos πt),  exponential 0.01^t
/// and 0 from there on. Layer after layer each has an equal share of that time for itself. In layers that are
/// not to be annealed β is 0 from the start.
std::vector<double> betas_at(const AnnealConfig& config, int64_t step, int64_t total_steps, int64_t layers);

/// Which weights move.
enum class Trained { kAll, kMlps };

/// How a converted model is trained.
struct FinetuneTrainConfig : TextTrainConfig {
  FinetuneTrainConfig();

  Trained trained = Trained::kAll;
  DistillationWeights loss;

  static const FieldTable<FinetuneTrainConfig>& fields();
};

/// Bytes of weights and moments of the parameters that move.
StateSize state_size(const DecoderConfig& model, const FinetuneTrainConfig& config);

/// Training on text beside a teacher, while β falls.
class FinetuneTask : public TextTask {
 public:
  /// @param anneal not given: the model stays what it is, bilinear or gated
  FinetuneTask(Decoder& model, Decoder& teacher, const TextParts& data, const TextDataConfig& text,
               const FinetuneTrainConfig& config, const std::optional<AnnealConfig>& anneal,
               const std::optional<Tokenizer>& tokenizer, const Ranks& ranks = Ranks::one());

  NamedTensors parameters() const override;
  double flops_per_unit() const override;
  at::Tensor compute_gradients(int64_t step) override;
  std::vector<Observation> validate(int64_t step) override;

  /// As TextTask::memory. @param held the dtype of the weights that do not move
  static TrainingMemory memory(const DecoderConfig& model, const FinetuneTrainConfig& config, int64_t context,
                               at::ScalarType held, at::Device device);

 protected:
  at::Tensor loss_sum(const at::Tensor& tokens, const at::Tensor& targets,
                      const ForwardOptions& options) override;

 private:
  void set_betas(int64_t step);

  Decoder &model_, &teacher_;
  double teacher_flops_;  // of its forward pass, a token
  FinetuneTrainConfig config_;
  std::optional<AnnealConfig> anneal_;
};

}  // namespace bilens
