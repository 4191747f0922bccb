#include "bilens/train/finetune_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bilens {

const FieldTable<AnnealConfig>& AnnealConfig::fields() {
  using C = AnnealConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Train while SiLU_β goes over into half the identity, β from 1 to 0.")
          .number("fraction", &C::fraction, "Share of all steps over which β falls.", between(0.0, 1.0))
          .choice("shape", &C::shape, "How β falls.",
                  {{"linear", AnnealShape::kLinear},
                   {"cosine", AnnealShape::kCosine},
                   {"exponential", AnnealShape::kExponential}})
          .choice("order", &C::order, "In all layers at once, or in one after the other.",
                  {{"together", AnnealOrder::kTogether},
                   {"first_to_last", AnnealOrder::kFirstToLast},
                   {"last_to_first", AnnealOrder::kLastToFirst}})
          .all_or_some(
              "layers", &C::layers,
              "The layers in which it falls, \"all\" or their numbers; in the others SiLU gives way at "
              "once.");
  return table;
}

bool AnnealConfig::anneals(int64_t layer) const {
  return !layers || std::find(layers->begin(), layers->end(), layer) != layers->end();
}

std::vector<double> betas_at(const AnnealConfig& config, int64_t step, int64_t total_steps, int64_t layers) {
  const double span = config.fraction * static_cast<double>(total_steps);
  const double all = span > 0 ? std::min(1.0, static_cast<double>(step) / span) : 1.0;
  std::vector<int64_t> annealed;
  for (int64_t layer = 0; layer < layers; ++layer)
    if (config.anneals(layer)) annealed.push_back(layer);
  if (config.order == AnnealOrder::kLastToFirst) std::reverse(annealed.begin(), annealed.end());
  const auto count = static_cast<double>(annealed.size());
  std::vector<double> betas(static_cast<size_t>(layers), 0.0);
  for (size_t place = 0; place < annealed.size(); ++place) {
    const double t = config.order == AnnealOrder::kTogether
                         ? all
                         : std::clamp(all * count - static_cast<double>(place), 0.0, 1.0);
    if (t >= 1) continue;
    double& beta = betas[static_cast<size_t>(annealed[place])];
    switch (config.shape) {
      case AnnealShape::kLinear: beta = 1 - t; break;
      case AnnealShape::kCosine: beta = 0.5 * (1 + std::cos(std::numbers::pi * t)); break;
      case AnnealShape::kExponential: beta = std::pow(0.01, t); break;
    }
  }
  return betas;
}

FinetuneTrainConfig::FinetuneTrainConfig() { learning_rate = 1e-4; }

const FieldTable<FinetuneTrainConfig>& FinetuneTrainConfig::fields() {
  using C = FinetuneTrainConfig;
  static const FieldTable<DistillationWeights> loss =
      FieldTable<DistillationWeights>(
          "What is made small: cross-entropy with the data, divergence from the teacher's next tokens and "
          "from "
          "its states.")
          .number("cross_entropy", &DistillationWeights::cross_entropy,
                  "Weight of the cross-entropy of the next token.", at_least(0.0))
          .number("divergence", &DistillationWeights::divergence,
                  "Weight of T²·KL of the teacher's next token to the model's.", at_least(0.0))
          .number("temperature", &DistillationWeights::temperature, "T of the divergence.", more_than(0.0))
          .number("states", &DistillationWeights::states,
                  "Weight of the relative squared error of the residual stream behind each layer, mean over "
                  "layers, against the teacher's.",
                  at_least(0.0));
  static const FieldTable<C> table = [] {
    FieldTable<C> fields("How the converted model is trained.");
    return add_text_train_fields(fields)
        .choice("trained", &C::trained, "All weights, or those of the MLPs alone.",
                {{"all", Trained::kAll}, {"mlps", Trained::kMlps}})
        .nested("loss", &C::loss, loss);
  }();
  return table;
}

StateSize state_size(const DecoderConfig& model, const FinetuneTrainConfig& config) {
  return state_size(model, config, [&](const std::string& name) {
    return config.trained == Trained::kAll || is_mlp_weight(name);
  });
}

TrainingMemory FinetuneTask::memory(const DecoderConfig& model, const FinetuneTrainConfig& config,
                                    int64_t context, at::ScalarType held, at::Device device) {
  const StateSize moving = state_size(model, config);
  const int64_t still = model.parameter_count() - moving.weights / 4;
  auto memory = state_memory(moving, config, context, device);
  memory.weights += still * static_cast<int64_t>(c10::elementSize(held));
  memory.activations = activation_memory(model, config, context, device, true);
  return memory;
}

FinetuneTask::FinetuneTask(Decoder& model, Decoder& teacher, const TextParts& data,
                           const TextDataConfig& text, const FinetuneTrainConfig& config,
                           const std::optional<AnnealConfig>& anneal,
                           const std::optional<Tokenizer>& tokenizer, const Ranks& ranks)
    : TextTask(model, data, text, config, tokenizer, ranks),
      model_(model),
      teacher_(teacher),
      teacher_flops_(forward_flops(teacher.config(), text.context)),
      config_(config),
      anneal_(anneal) {
  if (config.trained == Trained::kMlps) {
    for (const auto& [name, parameter] : model.parameters())
      at::Tensor(parameter).requires_grad_(is_mlp_weight(name));
  }
  teacher_.require_gradients(false);
  teacher_.prepare_positions(text.context);
}

NamedTensors FinetuneTask::parameters() const {
  NamedTensors moving;
  for (const auto& item : model_.parameters()) {
    if (item.second.requires_grad()) moving.push_back(item);
  }
  return moving;
}

double FinetuneTask::flops_per_unit() const {
  const double training = TextTask::flops_per_unit();
  const bool taught = config_.loss.divergence > 0 || config_.loss.states > 0;
  return taught ? training + teacher_flops_ : training;
}

void FinetuneTask::set_betas(int64_t step) {
  if (anneal_) model_.set_betas(betas_at(*anneal_, step, total_steps(), model_.config().num_hidden_layers));
}

at::Tensor FinetuneTask::compute_gradients(int64_t step) {
  set_betas(step);
  return TextTask::compute_gradients(step);
}

std::vector<TrainingTask::Observation> FinetuneTask::validate(int64_t step) {
  set_betas(step);
  auto seen = TextTask::validate(step);
  auto* metrics = seen.empty() ? nullptr : std::get_if<EvaluationMetrics>(&seen.front().line);
  if (!anneal_ || !metrics) return seen;
  const auto betas = betas_at(*anneal_, step, total_steps(), model_.config().num_hidden_layers);
  double mean = 0;
  for (const double beta : betas) mean += beta / static_cast<double>(betas.size());
  metrics->beta = mean;
  return seen;
}

at::Tensor FinetuneTask::loss_sum(const at::Tensor& tokens, const at::Tensor& targets,
                                  const ForwardOptions& options) {
  if (config_.loss.divergence == 0 && config_.loss.states == 0)
    return TextTask::loss_sum(tokens, targets, options) * config_.loss.cross_entropy;
  return model_.distillation_sum(tokens, targets, teacher_, config_.loss, options);
}

}  // namespace bilens
