#include "bilens/train/text_evaluation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "bilens/core/progress.h"
#include "bilens/core/stop.h"
#include "bilens/core/text.h"
#include "bilens/data/token_windows.h"
#include "bilens/tensor/on_threads.h"

namespace bilens {

namespace {

// Tokens evaluated at a time: on one thread of several so many that they stay in its cache, else so many that
// products are wide enough to be shared.
constexpr int64_t kOfAThread = 512, kTogether = 8192;
constexpr int64_t kSmallModel = int64_t{256} << 20;  // bytes of weights

/// Whether each thread evaluates windows of its own: short ones, of a model so small that what a thread holds
/// is small too.
bool on_threads_apart(const Decoder& model, int64_t context) {
  int64_t bytes = 0;
  for (const auto& [name, weight] : model.parameters()) bytes += static_cast<int64_t>(weight.nbytes());
  return model.parameters().front().second.is_cpu() && context <= kOfAThread && bytes <= kSmallModel;
}

/// What the windows of each part lose together, gathered from several threads. The thread that made it shows
/// the progress.
class PartLosses {
 public:
  PartLosses(size_t parts, int64_t tokens)
      : sums_(at::zeros({static_cast<int64_t>(parts)}, at::kDouble)),
        progress_("evaluate", tokens, "tokens") {}

  void add(int64_t part, const at::Tensor& losses) {
    const double sum = losses.sum(at::kDouble).item<double>();
    const std::lock_guard<std::mutex> lock(mutex_);
    sums_[part] = sum;
    sum_ += sum;
    predicted_ += losses.numel();
  }

  bool on_its_thread() const { return std::this_thread::get_id() == thread_; }
  void show() {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto sum = sum_, predicted = static_cast<double>(predicted_);
    const int64_t more = predicted_ - std::exchange(shown_, predicted_);
    lock.unlock();
    if (more > 0) progress_.advance(more, format("loss %.4f", sum / predicted));
  }

  /// Float64 [parts].
  const at::Tensor& sums() const { return sums_; }

 private:
  at::Tensor sums_;
  double sum_ = 0.0;
  int64_t predicted_ = 0, shown_ = 0;
  std::thread::id thread_ = std::this_thread::get_id();
  std::mutex mutex_;
  Progress progress_;
};

/// The sum of the parts' losses of all processes, one after the other as one process has it.
/// @throws Stopped in all, where one was
double sum_of_all(const at::Tensor& sums, bool stopped, const Ranks& ranks) {
  const auto row = at::cat({sums, at::full({1}, stopped ? 1.0 : 0.0, at::kDouble)});
  ranks.sum(row);  // of each part all but one process have 0, so that its sum stays as it is
  const auto* numbers = row.const_data_ptr<double>();
  const int64_t parts = sums.numel();
  if (numbers[parts] > 0) throw Stopped{};
  return std::accumulate(numbers, numbers + parts, 0.0);
}

}  // namespace

double TextEvaluation::perplexity() const { return std::exp(loss); }

EvaluationMetrics metrics_of(const TextEvaluation& evaluation, const char* split) {
  EvaluationMetrics metrics;
  metrics.split = split;
  metrics.tokens = evaluation.tokens;
  metrics.loss = evaluation.loss;
  metrics.perplexity = evaluation.perplexity();
  return metrics;
}

TextEvaluation evaluate_text(Decoder& model, const TokenStream& stream, int64_t context, const Ranks& ranks) {
  const auto device = model.parameters().front().second.device();
  const bool apart = on_threads_apart(model, context);
  const auto at_once = windows_within(apart ? kOfAThread : kTogether, context);
  const auto parts = evaluation_windows(stream.size(), context, at_once);
  const auto tokens_of = [&](int64_t i) {
    return static_cast<int64_t>(parts[i].begins.size()) * (parts[i].window - 1);
  };
  TextEvaluation result;
  std::vector<int64_t> own;
  int64_t own_tokens = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(parts.size()); ++i) {
    result.tokens += tokens_of(i);
    if (i % ranks.count() != ranks.rank()) continue;
    own.push_back(i);
    own_tokens += tokens_of(i);
  }
  PartLosses losses(parts.size(), own_tokens);
  std::atomic<bool> stopped = false;
  const auto evaluate = [&](int64_t i) {
    if (losses.on_its_thread() && ranks.stops()) stopped = true;
    if (stopped) return;
    const at::NoGradGuard no_grad;
    const auto batch = make_batch(stream, parts[i].begins, parts[i].window);
    losses.add(i, model.losses(batch.inputs.to(device), batch.targets.to(device)));
    if (losses.on_its_thread()) losses.show();
  };
  for (auto first = own.begin(); first != own.end();) {
    const int64_t window = parts[*first].window;
    const auto last = std::find_if(first, own.end(), [&](int64_t i) { return parts[i].window != window; });
    model.prepare_positions(window - 1);  // which threads then only read
    on_threads(last - first, apart ? at::get_num_threads() : 1, [&](int64_t i) { evaluate(first[i]); });
    first = last;
  }
  losses.show();
  result.loss = sum_of_all(losses.sums(), stopped, ranks) / static_cast<double>(result.tokens);
  return result;
}

}  // namespace bilens
