#include "bilens/study/gated_units.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "bilens/nn/gated_product.h"
#include "bilens/tensor/r_squared.h"
#include "gated_factors.h"

namespace bilens {

namespace {

constexpr int64_t kUnitsAtOnce = 256;  // tokens, in float64, several times over

/// Calls `use` with z and y of each layer on some tokens at a time, and the layer's output there.
void each_layer(
    const std::string& name, Decoder& model, const TextWindows& text,
    const std::function<void(int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&)>& use) {
  const auto device = model.parameters().front().second.device();
  text.each(name, [&](const TokenBatch& batch, ForwardOptions options) {
    options.mlp_hook = [&](int64_t layer, const at::Tensor& x, const at::Tensor& output) {
      const auto outputs = output.flatten(0, 1).split(kUnitsAtOnce);
      size_t part = 0;
      for (const auto& rows : x.flatten(0, 1).split(kUnitsAtOnce)) {
        const auto [z, y] = gated_factors(model.layer(layer), rows);
        use(layer, z, y, outputs[part++]);
      }
      return output;
    };
    model.final_states(batch.inputs.to(device), options);
  });
}

/// Sums over tokens of one layer, for R² of its output.
struct OutputSums {
  double count = 0.0;
  at::Tensor sum, squares;  // of the output and its square [d_out]
  double units = 0.0, lines = 0.0;

  void add(const at::Tensor& output) {
    const auto y = output.to(at::kDouble);
    count += static_cast<double>(y.size(0));
    sum = sum.defined() ? sum + y.sum(0) : y.sum(0);
    squares = squares.defined() ? squares + y.square().sum(0) : y.square().sum(0);
  }
  double r2(double error) const {
    const auto spread = (squares - sum.square() / count).sum();
    return r_squared(at::full_like(spread, error), spread, squares.sum(), at::kFloat).item<double>();
  }
};

/// What products are measured against, on a device: bilinear units, and lines.
struct Measured {
  BilinearUnits units;
  at::Tensor slope, offset;

  Measured(const UnitFit& fit, at::Device device) {
    const auto there = [&](const at::Tensor& numbers) { return numbers.to(device); };
    const auto& u = fit.units;
    units = {there(u.gate_shift), there(u.up_scale), there(u.up_gate), there(u.up_shift), there(u.constant)};
    slope = there(fit.slope), offset = there(fit.offset);
  }
};

}  // namespace

std::vector<UnitFit> fit_gated_units(Decoder& model, const TextWindows& text) {
  const at::NoGradGuard no_grad;
  const auto& config = model.config();
  if (config.is_bilinear()) throw std::invalid_argument("fit_gated_units: a bilinear model");
  const auto device = model.parameters().front().second.device();
  std::vector<UnitSums> sums;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) sums.emplace_back(config.intermediate_size, device);
  each_layer("fit units", model, text,
             [&](int64_t layer, const at::Tensor& z, const at::Tensor& y, const at::Tensor& /*output*/) {
               sums[layer].add(z, y, at::ones({z.size(0)}, z.options()), model.activation(layer));
             });
  std::vector<UnitFit> fits;
  for (const auto& of_layer : sums)
    fits.push_back(fit_units(of_layer, true, "layer " + std::to_string(fits.size()) + "'s activations"));
  return fits;
}

std::vector<OutputR2> measure_gated_units(Decoder& model, const TextWindows& text,
                                          const std::vector<UnitFit>& fits) {
  const at::NoGradGuard no_grad;
  const auto device = model.parameters().front().second.device();
  std::vector<Measured> measured;
  for (const auto& fit : fits) measured.emplace_back(fit, device);
  std::vector<OutputSums> sums(fits.size());
  each_layer("measure units", model, text,
             [&](int64_t layer, const at::Tensor& gate, const at::Tensor& up, const at::Tensor& output) {
               const auto z = gate.to(at::kDouble), y = up.to(at::kDouble);
               const auto product = gated_product(z, y, model.activation(layer));
               const auto down = model.layer(layer).down.to(at::kDouble);
               const auto error = [&](const at::Tensor& other) {
                 return (product - other).mm(down.t()).square().sum().item<double>();
               };
               const auto& of_layer = measured[layer];
               sums[layer].add(output);
               sums[layer].units += error(of_layer.units.products(z, y));
               sums[layer].lines += error((of_layer.slope * z + of_layer.offset) * y);
             });
  std::vector<OutputR2> found;
  for (const auto& of_layer : sums)
    found.push_back({of_layer.r2(of_layer.units), of_layer.r2(of_layer.lines)});
  return found;
}

}  // namespace bilens
