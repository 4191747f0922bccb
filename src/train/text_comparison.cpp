#include "bilens/train/text_comparison.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/data/token_windows.h"
#include "bilens/tensor/r_squared.h"
#include "bilens/train/document_sums.h"

namespace bilens {

namespace {

constexpr int64_t kComparedAtOnce = 8192;  // in windows, but one at least
constexpr int64_t kRowsAtOnce = 512;       // of the logits of both models

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
    return r_squared(error, variation, square, at::kFloat).item<double>();
  }
};

}  // namespace

int64_t comparison_memory(const DecoderConfig& model, int64_t context) {
  const int64_t tokens = windows_within(kComparedAtOnce, context) * context, d = model.hidden_size;
  // Counts the states behind the layers of both models, one layer's states three times in float64, and an
  // MLP's hidden units.
  const int64_t states = 8 * (model.num_hidden_layers + 2) * d + 24 * d, mlp = 12 * model.intermediate_size;
  return tokens * (states + mlp) + 8 * 4 * model.vocab_size * std::min(tokens, kRowsAtOnce);
}

TextComparison compare_text(Decoder& model, Decoder& teacher, const TokenStream& stream, int64_t context) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  const int64_t layers = model.config().num_hidden_layers;
  TextComparison result;
  auto& seen = result.seen;
  std::vector<LayerSums> sums(static_cast<size_t>(layers));
  DocumentSums documents(stream, stream.size(), 2);
  auto divergence = at::zeros({}, at::device(device).dtype(at::kDouble));
  auto agreeing = at::zeros({}, at::device(device).dtype(at::kLong));
  Progress progress("compare with the teacher", stream.size(), "tokens");
  for (const auto& windows :
       evaluation_windows(stream.size(), context, windows_within(kComparedAtOnce, context))) {
    if (stop_requested()) throw Stopped{};
    const auto batch = make_batch(stream, windows.begins, windows.window);
    const auto tokens = batch.inputs.to(device), targets = batch.targets.to(device).flatten();
    std::vector<at::Tensor> states, taught;
    ForwardOptions keep_states, keep_taught;
    keep_states.states = &states, keep_taught.states = &taught;
    const auto x = model.final_states(tokens, keep_states).flatten(0, 1);
    const auto teacher_x = teacher.final_states(tokens, keep_taught).flatten(0, 1);
    auto losses = at::empty(targets.sizes(), x.options().dtype(at::kFloat)),
         teacher_losses = at::empty_like(losses);
    for (int64_t begin = 0; begin < x.size(0); begin += kRowsAtOnce) {
      const auto rows = [&](const at::Tensor& all) { return all.slice(0, begin, begin + kRowsAtOnce); };
      const auto logs = model.logits(rows(x)).log_softmax(-1),
                 teacher_logs = teacher.logits(rows(teacher_x)).log_softmax(-1);
      const auto target = rows(targets).unsqueeze(-1);
      rows(losses).copy_(logs.gather(-1, target).squeeze(-1).neg());
      rows(teacher_losses).copy_(teacher_logs.gather(-1, target).squeeze(-1).neg());
      divergence += (teacher_logs.exp() * (teacher_logs - logs)).sum(at::kDouble);
      agreeing += logs.argmax(-1).eq(teacher_logs.argmax(-1)).sum();
    }
    documents.add(windows.begins,
                  {losses.view(batch.targets.sizes()), teacher_losses.view(batch.targets.sizes())});
    // The last of the states is behind the final norm: of the last layer's output that is what counts.
    for (int64_t i = 0; i < layers; ++i) sums[i].add(states[i + 1], taught[i + 1]);
    seen.tokens += targets.numel();
    progress.advance(static_cast<int64_t>(windows.begins.size()) * windows.window);
  }
  result.documents = {documents.tokens(), documents.sums()[0], documents.sums()[1]};
  const auto count = static_cast<double>(seen.tokens);
  seen.loss = result.documents.losses.sum().item<double>() / count;
  seen.teacher_loss = result.documents.teacher_losses.sum().item<double>() / count;
  seen.divergence = divergence.item<double>() / count;
  seen.agreement = static_cast<double>(agreeing.item<int64_t>()) / count;
  for (const auto& layer : sums) seen.layer_r2.push_back(layer.r2(seen.tokens));
  return result;
}

}  // namespace bilens
