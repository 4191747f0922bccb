// What a user of the installed library writes: the eigenvalues of a layer of one's own.
#include <ATen/core/Tensor.h>
#include <ATen/ops/eye.h>
#include <bilens/analysis/eigen/eigen.h>

#include <cstdio>

int main() {
  bilens::BilinearLayer layer;
  layer.gate = at::eye(3, at::kDouble);
  layer.up = at::eye(3, at::kDouble).mul(2);
  bilens::EigenConfig config;
  config.k = 1;
  config.dtype = at::kDouble;
  const auto pairs = bilens::solve_eigen({layer, {}, {}}, at::kCPU, config);
  std::printf("%g\n", pairs.eigenvalues[0][0].item<double>());
}
