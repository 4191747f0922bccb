#pragma once

// Passes over rows: gated products, norms, cross-entropy. Included by cpu_kernels.cpp only.

#include "cpu_kernels.h"
#include "exponentials.h"
#include "gate_functions.h"

namespace bilens {

namespace {

template <class T>
void gated_forward(Activation activation, const T* gate, const T* up, T* y, Rows rows) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    for (int64_t i = 0; i < rows.count; ++i) {
      const T *g = gate + i * rows.stride_in, *u = up + i * rows.stride_in;
      T* out = y + i * rows.stride_out;
#pragma omp simd
      for (int64_t j = 0; j < rows.width; ++j) forward_element<kGate>(g, u, out, beta, j);
    }
  });
}

template <class T>
void gated_backward(Activation activation, const T* grad, const T* gate, const T* up, T* grad_gate,
                    T* grad_up, T* product, Rows rows) {
  const auto beta = static_cast<typename Computation<T>::type>(activation.beta);
  dispatch_gate(activation.kind, [&]<Gate kGate>() {
    for (int64_t i = 0; i < rows.count; ++i) {
      const T *dy = grad + i * rows.width, *g = gate + i * rows.stride_in, *u = up + i * rows.stride_in;
      T *dg = grad_gate + i * rows.stride_out, *du = grad_up + i * rows.stride_out;
#pragma omp simd
      for (int64_t j = 0; j < rows.width; ++j) backward_element<kGate>(dy, g, u, dg, du, beta, j);
      if (product == nullptr) continue;
      T* out = product + i * rows.width;
#pragma omp simd
      for (int64_t j = 0; j < rows.width; ++j) forward_element<kGate>(g, u, out, beta, j);
    }
  });
}

void rms_norm(const float* x, const float* gain, double epsilon, float* y, float* inverse, int64_t count,
              int64_t width) {
  for (int64_t i = 0; i < count; ++i) {
    const float* row = x + i * width;
    float* out = y + i * width;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < width; ++j) squares += row[j] * row[j];
    const float r = 1.0f / __builtin_sqrtf(squares / static_cast<float>(width) + static_cast<float>(epsilon));
    if (inverse != nullptr) inverse[i] = r;
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) out[j] = row[j] * r * gain[j];
  }
}

/// With x̂ = x r and g = ∂y ⊙ gain: ∂x = r (g − x̂ mean(g ⊙ x̂)), ∂gain = Σ_rows ∂y ⊙ x̂.
void rms_norm_backward(const float* grad, const float* x, const float* gain, const float* inverse,
                       float* grad_x, float* grad_gain, int64_t count, int64_t width) {
  for (int64_t i = 0; i < count; ++i) {
    const float *dy = grad + i * width, *row = x + i * width;
    float* dx = grad_x + i * width;
    const float r = inverse[i];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < width; ++j) dot += dy[j] * gain[j] * row[j];
    const float mean = dot * r * r / static_cast<float>(width);
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      dx[j] = r * (dy[j] * gain[j] - row[j] * mean);
      grad_gain[j] += dy[j] * row[j] * r;
    }
  }
}

void cross_entropy(float* logits, const int64_t* targets, float* losses, bool gradient, int64_t count,
                   int64_t width) {
  for (int64_t i = 0; i < count; ++i) {
    float* row = logits + i * width;
    if (targets[i] < 0) {
      losses[i] = 0;
      for (int64_t j = 0; gradient && j < width; ++j) row[j] = 0;
      continue;
    }
    const float target = row[targets[i]];
    const auto [largest, sum] = exponentials(row, width);
    losses[i] = __builtin_logf(sum) + (largest - target);
    if (!gradient) continue;
    const float scale = 1.0f / sum;
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) row[j] *= scale;
    row[targets[i]] -= 1.0f;
  }
}

}  // namespace

}  // namespace bilens
