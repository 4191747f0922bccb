#include "bilens/nn/rms_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "kernels/cpu_kernels.h"
#include "packed.h"
#include "tracked.h"

namespace bilens {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrainOfRows = 16384;  // elements a thread takes at least

int64_t rows_a_thread(int64_t width) {
  return std::max<int64_t>(1, kGrainOfRows / std::max<int64_t>(1, width));
}

/// @param x [n, d] @param inverse [n] takes 1 / √(mean(x²) + ε), where given
at::Tensor normalized(const at::Tensor& x, const at::Tensor& gain, double epsilon, float* inverse) {
  const int64_t rows = x.size(0), width = x.size(1);
  auto y = at::empty({rows, width}, x.options());
  const auto *from = x.const_data_ptr<float>(), *gains = gain.const_data_ptr<float>();
  auto* to = y.mutable_data_ptr<float>();
  at::parallel_for(0, rows, rows_a_thread(width), [&](int64_t begin, int64_t end) {
    cpu_kernels().rms_norm(from + begin * width, gains, epsilon, to + begin * width,
                           inverse == nullptr ? nullptr : inverse + begin, end - begin, width);
  });
  return y;
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gain,
                            double epsilon) {
    auto inverse = at::empty({x.size(0)}, x.options());
    const auto y = normalized(x, gain, epsilon, inverse.mutable_data_ptr<float>());
    context->save_for_backward({x, gain, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &gain = saved[1];
    const int64_t rows = x.size(0), width = x.size(1);
    // One sum a block of rows, blocks fixed by the sizes: the same result whatever thread takes which.
    const int64_t block =
        std::max(rows_a_thread(width), (rows + at::get_num_threads() - 1) / at::get_num_threads());
    const int64_t blocks = rows == 0 ? 0 : (rows + block - 1) / block;
    const auto dy = grads[0].contiguous();
    auto dx = at::empty_like(x), sums = at::zeros({blocks, width}, x.options());
    const auto *from = x.const_data_ptr<float>(), *gains = gain.const_data_ptr<float>(),
               *r = saved[2].const_data_ptr<float>(), *dys = dy.const_data_ptr<float>();
    auto *dxs = dx.mutable_data_ptr<float>(), *partial = sums.mutable_data_ptr<float>();
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * block;
        cpu_kernels().rms_norm_backward(dys + first * width, from + first * width, gains, r + first,
                                        dxs + first * width, partial + i * width,
                                        std::min(block, rows - first), width);
      }
    });
    return {dx, sums.sum(0), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  if (x.scalar_type() == at::kBFloat16) {
    return rms_norm(x.to(at::kFloat), gain.to(at::kFloat), epsilon).to(at::kBFloat16);
  }
  if (x.is_cuda())
    return std::get<0>(at::_fused_rms_norm(x, gain.sizes(), gain.to(x.scalar_type()), epsilon));
  if (x.scalar_type() != at::kFloat) {
    return x * (x.square().mean(-1, true) + epsilon).rsqrt() * gain;
  }
  const auto rows = as_rows(x).contiguous(),
             gains = (gain.scalar_type() == at::kFloat ? gain : gain.to(at::kFloat)).contiguous();
  const auto y = is_tracked({x, gain}) ? RmsNorm::apply(rows, gains, epsilon)
                                       : normalized(rows, gains, epsilon, nullptr);
  return shaped_as(y, x);
}

}  // namespace bilens
