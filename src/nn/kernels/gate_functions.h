#pragma once

// The arithmetic of every gate, the same for the CPU loop and the CUDA kernel.

#include <cmath>

#include "bilens/nn/gate.h"
#include "exponential.h"

namespace bilens {

/// f(z) and f'(z) of one gate.
template <class T>
struct GateValue {
  T value, slope;
};

template <Gate kGate, class T>
BILENS_HOST_DEVICE inline GateValue<T> evaluate_gate(T z, T beta) {
  if constexpr (kGate == Gate::kNone) {
    return {z, T(1)};
  } else if constexpr (kGate == Gate::kSilu) {
    // f = zσ(βz), f' = σ(βz)(1 + βz(1 − σ(βz)))
    const T sigmoid = T(1) / (T(1) + exponential(-beta * z));
    return {z * sigmoid, sigmoid * (T(1) + beta * z * (T(1) - sigmoid))};
  } else if constexpr (kGate == Gate::kGelu) {
    // f = zΦ(z), f' = Φ(z) + zφ(z), with the normal distribution's Φ and φ
    const T cumulative = T(0.5) * (T(1) + std::erf(z * T(0.70710678118654752440)));
    const T density = exponential(T(-0.5) * z * z) * T(0.39894228040143267794);
    return {z * cumulative, cumulative + z * density};
  } else if constexpr (kGate == Gate::kGeluTanh) {
    // f = z(1 + tanh(v))/2 = zσ(2v), v = √(2/π)(z + 0.044715 z³); σ has no room to move beyond |z| = 16
    const T c = z < T(-16) ? T(-16) : z > T(16) ? T(16) : z;
    const T twice = T(1.5957691216057307118) * c * (T(1) + T(0.044715) * c * c);
    const T slope = T(1.5957691216057307118) * (T(1) + T(3 * 0.044715) * c * c);
    const T sigmoid = T(1) / (T(1) + exponential(-twice));
    return {z * sigmoid, sigmoid + c * sigmoid * (T(1) - sigmoid) * slope};
  } else {
    return {z < T(0) ? T(0) : z, z <= T(0) ? T(0) : T(1)};  // of NaN it is NaN, as PyTorch's
  }
}

/// y_i = f(g_i) u_i
template <Gate kGate, class T, class C = typename Computation<T>::type>
BILENS_HOST_DEVICE inline void forward_element(const T* gate, const T* up, T* y, C beta, long i) {
  y[i] = T(evaluate_gate<kGate>(C(gate[i]), beta).value * C(up[i]));
}

/// ∂g_i = ∂y_i u_i f'(g_i), ∂u_i = ∂y_i f(g_i)
template <Gate kGate, class T, class C = typename Computation<T>::type>
BILENS_HOST_DEVICE inline void backward_element(const T* grad, const T* gate, const T* up, T* grad_gate,
                                                T* grad_up, C beta, long i) {
  const auto f = evaluate_gate<kGate>(C(gate[i]), beta);
  const C dy = C(grad[i]), u = C(up[i]);
  grad_gate[i] = T(dy * u * f.slope);
  grad_up[i] = T(dy * f.value);
}

/// Calls `body` with the gate as a compile-time constant.
template <class Body>
void dispatch_gate(Gate gate, const Body& body) {
  switch (gate) {
    case Gate::kNone: return body.template operator()<Gate::kNone>();
    case Gate::kSilu: return body.template operator()<Gate::kSilu>();
    case Gate::kGelu: return body.template operator()<Gate::kGelu>();
    case Gate::kGeluTanh: return body.template operator()<Gate::kGeluTanh>();
    case Gate::kRelu: return body.template operator()<Gate::kRelu>();
  }
}

}  // namespace bilens
