#include "bilens/study/parity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "bilens/core/text.h"

namespace bilens {

namespace {

constexpr double kFloat32 = 1e-5, kEachLayer = 2e-6;  // of the largest number
constexpr double kLoss = 1e-5;                        // nats
constexpr double kTimesReference = 2;

/// Half the distance of 1 and the next larger number.
double rounding(at::ScalarType dtype) { return dtype == at::kHalf ? std::ldexp(1, -11) : std::ldexp(1, -8); }

/// What the model computes, float32 on the CPU.
ReferencePass compute(Decoder& model, const at::Tensor& tokens, int64_t kept) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> states;
  ForwardOptions options;
  options.states = &states;
  const auto last = model.final_states(tokens, options);
  const auto plain = [](const at::Tensor& tensor) { return tensor.to(at::kCPU, at::kFloat); };
  const int64_t length = tokens.size(1);
  ReferencePass pass;
  pass.logits = plain(model.logits(last.narrow(1, length - kept, kept)));
  for (auto& state : states) state = plain(state);
  pass.states = at::stack(states);
  auto targets = at::full_like(tokens, -1);
  targets.narrow(1, 0, length - 1).copy_(tokens.narrow(1, 1, length - 1));
  pass.losses = plain(model.losses(tokens, targets)).narrow(1, 0, length - 1);
  return pass;
}

double largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }
double root_mean_square(const at::Tensor& tensor) { return tensor.square().mean().sqrt().item<double>(); }

/// 0 by 0 is 0; NaN stays.
double ratio(double error, double size) { return error == 0 ? 0 : error / size; }

/// @param depth how many layers are behind it
CheckedQuantity in_float32(const at::Tensor& here, const at::Tensor& there, int64_t depth) {
  CheckedQuantity found;
  found.largest = largest(there);
  found.difference = largest(here.to(at::kDouble) - there.to(at::kDouble));
  found.error = ratio(found.difference, found.largest);
  found.tolerance = kFloat32 + kEachLayer * static_cast<double>(depth);
  return found;
}

CheckedQuantity in_half(const at::Tensor& here, const at::Tensor& there, const at::Tensor& in_float32,
                        at::ScalarType dtype) {
  const auto exact = in_float32.to(at::kDouble);
  const double size = root_mean_square(exact);
  CheckedQuantity found;
  found.largest = largest(exact);
  found.difference = largest(here.to(at::kDouble) - there.to(at::kDouble));
  found.error = ratio(root_mean_square(here.to(at::kDouble) - exact), size);
  found.reference_error = ratio(root_mean_square(there.to(at::kDouble) - exact), size);
  found.tolerance = kTimesReference * *found.reference_error + rounding(dtype);
  return found;
}

/// What differs where a quantity is the first that does.
std::string meaning_of(const std::string& name) {
  if (name == "embedding") return "The embedding, or its scale, is not that of transformers.";
  if (name == "logits") return "The head, or the cap of its logits, is not that of transformers.";
  if (name == "loss") return "The loss of the logits is not that of transformers.";
  return "All in front of " + name + " is the same; " + name + " computes something else.";
}

std::vector<int64_t> list_of(const at::Tensor& ids) {
  return {ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + ids.numel()};
}

}  // namespace

CheckedDtype check_parity(Decoder& model, const ModelReference& reference, bool half) {
  const auto& there = half ? *reference.stored : reference.float32;
  const auto& exact = reference.float32;
  const auto dtype = reference.dtype == "float16" ? at::kHalf : at::kBFloat16;
  const auto here = compute(model, reference.tokens, there.logits.size(1));
  const int64_t layers = here.states.size(0) - 1;
  CheckedDtype checked;
  checked.reference_dtype = half ? reference.dtype : "float32";
  checked.loss = here.losses.mean(at::kDouble).item<double>();
  checked.reference_loss = there.losses.mean(at::kDouble).item<double>();
  const auto add = [&](const std::string& name, CheckedQuantity found) {
    found.name = name;
    found.within = found.error <= found.tolerance;  // false for NaN
    checked.quantities.push_back(std::move(found));
  };
  const auto compare = [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, int64_t depth) {
    return half ? in_half(a, b, c, dtype) : in_float32(a, b, depth);
  };
  for (int64_t i = 0; i <= layers; ++i) {
    const auto name = i == 0 ? "embedding" : "layer " + std::to_string(i - 1);
    add(name, compare(here.states[i], there.states[i], exact.states[i], i));
  }
  add("logits", compare(here.logits, there.logits, exact.logits, layers));
  auto loss = compare(here.losses, there.losses, exact.losses, layers);
  if (!half) {
    loss.error = std::abs(checked.loss - checked.reference_loss);
    loss.tolerance = kLoss;
  }
  add("loss", loss);
  return checked;
}

std::string first_failure(const CheckedDtype& checked) {
  for (const auto& quantity : checked.quantities) {
    if (quantity.within) continue;
    const std::string unit = quantity.reference_error  ? "of its root mean square"
                             : quantity.name == "loss" ? "nats"
                                                       : "of its largest number";
    return format("%s: %s differs by %.2g %s, tolerance %.2g. ", checked.dtype.c_str(), quantity.name.c_str(),
                  quantity.error, unit.c_str(), quantity.tolerance) +
           meaning_of(quantity.name);
  }
  return "";
}

CheckedTokenizer check_tokenizer(const std::vector<int32_t>& given, const ModelReference& reference) {
  const std::vector<int64_t> ids(given.begin(), given.end());
  const auto there = list_of(reference.text_ids.contiguous());
  CheckedTokenizer checked;
  checked.reference_class = reference.tokenizer_class.value_or("");
  checked.ids = static_cast<int64_t>(ids.size());
  checked.reference_ids = static_cast<int64_t>(there.size());
  if (ids != there) {
    const size_t both = std::min(ids.size(), there.size());
    const auto end = ids.begin() + static_cast<long>(both);
    checked.first_difference = std::mismatch(ids.begin(), end, there.begin()).first - ids.begin();
  }
  if (reference.file_ids.defined()) {
    const auto file = list_of(reference.file_ids.contiguous());
    checked.same_as_file = ids == file;
    checked.file_same_as_reference = file == there;
  }
  checked.within = ids == there || checked.same_as_file.value_or(false);
  return checked;
}

}  // namespace bilens
