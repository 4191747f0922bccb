#include "bilens/train/text_comparison.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/data/token_windows.h"
#include "bilens/train/document_sums.h"

namespace bilens {

namespace {

constexpr int64_t kLogitsAtOnce = 1 << 23;  // 32 MB of float32, and a few of such

/// Sums over tokens that a layer's R² follows from, float64.
struct LayerSums {
  at::Tensor error, square, sum;  // scalar, scalar, [d]

  void add(const at::Tensor& h, const at::Tensor& taught) {
    const auto t = taught.flatten(0, 1).to(at::kDouble);
    const auto difference = (h.flatten(0, 1).to(at::kDouble) - t).square().sum();
    error = error.defined() ? error + difference : difference;
    square = square.defined() ? square + t.square().sum() : t.square().sum();
    sum = sum.defined() ? sum + t.sum(0) : t.sum(0);
  }

  double r2(int64_t positions) const {
    const auto variation = square - sum.square().sum() / static_cast<double>(positions);
    return 1.0 - (error / variation).item<double>();
  }
};

}  // namespace

TextComparison compare_text(LlamaDecoder& model, LlamaDecoder& teacher, const TokenStream& stream,
                            int64_t context) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const int64_t layers = model.config().num_hidden_layers;
  const int64_t at_once = std::max<int64_t>(1, kLogitsAtOnce / (context * model.config().vocab_size));
  TextComparison result;
  std::vector<LayerSums> sums(static_cast<size_t>(layers));
  DocumentSums documents(stream, stream.size(), 2);
  double divergence = 0;
  int64_t agreeing = 0;
  Progress progress("compare with the teacher", stream.size(), "tokens");
  for (const auto& windows : evaluation_windows(stream.size(), context, at_once)) {
    if (stop_requested()) throw Stopped{};
    const auto batch = make_batch(stream, windows.begins, windows.window);
    const auto tokens = batch.inputs.to(device), targets = batch.targets.to(device).unsqueeze(-1);
    std::vector<at::Tensor> states, taught;
    ForwardOptions keep_states, keep_taught;
    keep_states.states = &states, keep_taught.states = &taught;
    const auto logs = model.logits(model.final_states(tokens, keep_states)).log_softmax(-1);
    const auto teacher_logs = teacher.logits(teacher.final_states(tokens, keep_taught)).log_softmax(-1);
    const auto loss_of = [&](const at::Tensor& log) { return log.gather(-1, targets).squeeze(-1).neg(); };
    documents.add(windows.begins, {loss_of(logs), loss_of(teacher_logs)});
    divergence += (teacher_logs.exp() * (teacher_logs - logs)).sum(at::kDouble).item<double>();
    agreeing += logs.argmax(-1).eq(teacher_logs.argmax(-1)).sum().item<int64_t>();
    // The last of the states is behind the final norm: of the last layer's output that is what counts.
    for (int64_t i = 0; i < layers; ++i) sums[i].add(states[i + 1], taught[i + 1]);
    result.tokens += targets.numel();
    progress.advance(static_cast<int64_t>(windows.begins.size()) * windows.window);
  }
  result.document_tokens = documents.tokens();
  result.document_losses = documents.sums()[0], result.document_teacher_losses = documents.sums()[1];
  const auto count = static_cast<double>(result.tokens);
  result.loss = result.document_losses.sum().item<double>() / count;
  result.teacher_loss = result.document_teacher_losses.sum().item<double>() / count;
  result.divergence = divergence / count;
  result.agreement = static_cast<double>(agreeing) / count;
  for (const auto& layer : sums) result.layer_r2.push_back(layer.r2(result.tokens));
  return result;
}

}  // namespace bilens
