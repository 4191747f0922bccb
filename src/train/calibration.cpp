#include "bilens/train/calibration.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bilens/core/log.h"
#include "bilens/core/progress.h"
#include "bilens/core/text.h"
#include "bilens/train/bilinear_fit.h"
#include "bilens/train/ridge.h"
#include "bilens/train/text_task.h"
#include "bilens/train/unit_fit.h"
#include "calibration_streams.h"

namespace bilens {

namespace {

constexpr int64_t kKeptRows = int64_t{256} << 20;  // bytes of calibration tokens

using NamedWeights = std::map<std::string, at::Tensor>;

NamedWeights by_name(const Decoder& model) { return {model.parameters().begin(), model.parameters().end()}; }

std::string layer_name(int64_t layer, const std::string& name) {
  return "model.layers." + std::to_string(layer) + "." + name;
}

/// Float32 weights like the teacher's, with biases of 0 where it has none.
Decoder copy_of(const Decoder& teacher, bool bias) {
  auto config = teacher.config();
  config.mlp_bias = config.mlp_bias || bias;
  const auto source = by_name(teacher);
  auto weights = Decoder::allocate(config, source.begin()->second.device());
  for (auto& [name, weight] : weights) {
    const auto found = source.find(name);
    found == source.end() ? weight.zero_() : weight.copy_(found->second);
  }
  return {config, std::move(weights)};
}

/// A model with the same weights whose layers of these numbers are bilinear.
Decoder with_bilinear(const Decoder& model, const std::vector<int64_t>& layers) {
  auto config = model.config();
  std::vector<Gate> gates;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) gates.push_back(config.gate_of(layer));
  for (const int64_t layer : layers) gates.at(static_cast<size_t>(layer)) = Gate::kNone;
  config.set_gates(gates);
  return {config, by_name(model)};
}

/// A layer's MLP, biases as last columns. Empty bias tensors do not occur: all three are there or none.
BilinearFactors factors_of(const Decoder& model, int64_t layer) {
  const auto weights = by_name(model);
  const auto factor = [&](const std::string& projection) {
    const auto name = layer_name(layer, "mlp." + projection);
    const auto& weight = weights.at(name + ".weight");
    return model.config().mlp_bias ? at::cat({weight, weights.at(name + ".bias").unsqueeze(1)}, 1) : weight;
  };
  return {factor("gate_proj"), factor("up_proj"), factor("down_proj")};
}

void store(const BilinearFactors& factors, const Decoder& model, int64_t layer) {
  auto weights = by_name(model);
  const auto put = [&](const std::string& projection, const at::Tensor& factor) {
    const auto name = layer_name(layer, "mlp." + projection);
    auto& weight = weights.at(name + ".weight");
    weight.copy_(factor.narrow(1, 0, weight.size(1)));
    if (model.config().mlp_bias) weights.at(name + ".bias").copy_(factor.select(1, weight.size(1)));
  };
  put("gate_proj", factors.gate);
  put("up_proj", factors.up);
  put("down_proj", factors.down);
}

/// An MLP whose outputs are those behind a norm's gain, where they meet the stream; before_gain() goes back.
/// Where the gain is 0 nothing says what stands in front, and the own down_proj stays. @param gain undefined:
/// none
BilinearFactors through_gain(BilinearFactors mlp, const at::Tensor& gain) {
  if (gain.defined()) mlp.down = mlp.down * gain.unsqueeze(1);
  return mlp;
}

BilinearFactors before_gain(BilinearFactors mlp, const at::Tensor& gain, const at::Tensor& own_down) {
  if (gain.defined()) mlp.down = at::where(gain.unsqueeze(1) == 0, own_down, mlp.down / gain.unsqueeze(1));
  return mlp;
}

LeastSquaresSums sums_of(const FitData& data, const BilinearFactors& mlp) {
  LeastSquaresSums sums(mlp.down.size(1), mlp.down.size(0), mlp.down.device());
  data([&](const FitRows& rows) { sums.add(mlp.hidden(rows.inputs), rows.targets, rows.weights); });
  return sums;
}

UnitFit fit_units_to(const FitData& data, const BilinearFactors& mlp, Gate gate, bool with_biases,
                     const std::string& where) {
  UnitSums sums(mlp.gate.size(0), mlp.gate.device());
  data([&](const FitRows& rows) {
    sums.add(rows.inputs.mm(mlp.gate.t()), rows.inputs.mm(mlp.up.t()), rows.weights, gate);
  });
  return fit_units(sums, with_biases, where);
}

/// (az + b)y in the place of f(z)y.
BilinearFactors with_lines(const UnitFit& fit, BilinearFactors mlp) {
  const auto as_layer = [&](const at::Tensor& numbers) {
    return numbers.to(mlp.gate.device(), mlp.gate.scalar_type());
  };
  mlp.gate = mlp.gate * as_layer(fit.slope).unsqueeze(1);
  if (mlp.has_biases()) mlp.gate.select(1, mlp.gate.size(1) - 1) += as_layer(fit.offset);
  return mlp;
}

/// Σ w‖t − y‖² / Σ w‖t‖²; NaN where there is nothing that it has to give.
double relative_error(const FitData& data, const BilinearFactors& mlp) {
  double left = 0.0, whole = 0.0;
  data([&](const FitRows& rows) {
    const auto weigh = [&](const at::Tensor& x) {
      return (x.to(at::kDouble).square().sum(1) * rows.weights).sum().item<double>();
    };
    left += weigh(rows.targets - mlp.hidden(rows.inputs).mm(mlp.down.t()));
    whole += weigh(rows.targets);
  });
  return left / whole;
}

RidgeFit refit_down(const FitData& fitted, const FitData& choosing, const std::string& where,
                    BilinearFactors& mlp) {
  auto fit = fit_ridge(sums_of(fitted, mlp), sums_of(choosing, mlp), mlp.down, where);
  mlp.down = fit.matrix.to(mlp.down.scalar_type());
  return fit;
}

/// Steps 2 and 3 of calibrate().
void refit(const CalibrationStreams& streams, const std::string& where, int64_t sweeps, BilinearFactors& mlp,
           LayerCalibration& report) {
  const auto fitted = keep_rows(streams.data(TokenUse::kFit), kKeptRows),
             choosing = keep_rows(streams.data(TokenUse::kChoice), kKeptRows);
  const auto first = refit_down(fitted, choosing, where, mlp);
  report.ridge = first.ridge;
  report.error_refitted = relative_error(streams.data(TokenUse::kReport), mlp);
  for (double least = first.error; report.sweeps < sweeps; ++report.sweeps) {
    auto swept = mlp;
    swept.gate = fit_side(fitted, swept, Side::kGate);
    swept.up = fit_side(fitted, swept, Side::kUp);
    const double error = refit_down(fitted, choosing, where, swept).error;
    if (!(error < least)) return;
    mlp = swept;
    least = error;
  }
}

/// Floating-point operations a token, in float64, of the sums Σ w hhᵀ and Σ w thᵀ of a refit of down_proj.
double refit_flops(const BilinearFactors& mlp) {
  const auto units = static_cast<double>(mlp.gate.size(0)), outputs = static_cast<double>(mlp.down.size(0));
  return 2 * units * (units + outputs);
}

/// Floating-point operations a token of the fits of a layer: products with the factors, and the sums of the
/// refits of down_proj.
double fit_flops(const BilinearFactors& mlp, const CalibrationConfig& config, int64_t sweeps_kept) {
  const double factors = 4.0 * static_cast<double>(mlp.gate.numel());
  if (!config.refit) return factors;
  const double refit = factors + refit_flops(mlp), sweep = 2 * fit_side_flops(mlp) + refit;
  return factors + refit + static_cast<double>(std::min(config.sweeps, sweeps_kept + 1)) * sweep;
}

/// Those that may be converted. @throws Error(kUsage)
std::vector<int64_t> candidates(const DecoderConfig& teacher, const CalibrationConfig& config) {
  const auto gated = teacher.gated_layers();
  if (gated.empty()) {
    throw Error(ExitCode::kUsage,
                {"teacher", "a model with gated MLPs", "hidden_act \"linear\"", "It is bilinear already."});
  }
  auto layers = config.layers.value_or(gated);
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  for (const int64_t layer : layers) {
    if (std::binary_search(gated.begin(), gated.end(), layer)) continue;
    throw Error(
        ExitCode::kUsage,
        {"layers of \"calibrate\"", "numbers of gated layers", std::to_string(layer),
         layer < teacher.num_hidden_layers ? "This one is bilinear already." : "There is no such layer."});
  }
  return layers;
}

/// What each candidate costs, and which are converted. @throws Error(kBadInput)
std::vector<int64_t> choose_layers(Decoder& teacher, const Decoder& copy, const CalibrationText& text,
                                   const CalibrationConfig& config, CalibrationAccount& account) {
  const OwnFactors own = [&](int64_t layer) { return factors_of(copy, layer); };
  const auto units = fit_layers(teacher, own, candidates(teacher.config(), config), config.bias,
                                text.counted(TokenUse::kFit));
  account.costs = measure_layer_costs(teacher, own, units, text.counted(TokenUse::kReport));
  const auto chosen = layers_within(*account.costs, config.budget.value_or(HUGE_VAL));
  if (!chosen.empty()) {
    const auto& last = account.costs->layers.at(chosen.size() - 1);
    log_info(
        format("%zu of %ld layers become bilinear; nothing refitted, the loss rises by %.4f nats a token",
               chosen.size(), teacher.config().num_hidden_layers, last.together));
    return chosen;
  }
  const auto& cheapest = account.costs->layers.front();
  throw Error(ExitCode::kBadInput,
              {"budget of \"calibrate\"",
               format("more than %.4g nats a token, which the cheapest layer, %ld, costs", cheapest.alone,
                      cheapest.layer),
               format("%.4g", *config.budget), "Raise it, or use more tokens."});
}

LayerCalibration calibrate_layer(const CalibrationStreams& streams, Gate gate,
                                 const CalibrationConfig& config, const std::string& where,
                                 BilinearFactors& mlp) {
  const auto held_out = streams.data(TokenUse::kReport);
  LayerCalibration report;
  const auto fit = fit_units_to(streams.data(TokenUse::kFit), mlp, gate, config.bias, where);
  report.unit_r2 = fit.line_r2;
  report.product_r2 = fit.r2;
  report.degenerate_units = fit.degenerate.sum().item<int64_t>();
  report.error_lines = relative_error(held_out, with_lines(fit, mlp));
  mlp = fit.units.in(mlp);
  report.error_scaled = report.error_refitted = relative_error(held_out, mlp);
  if (config.refit) refit(streams, where, config.sweeps, mlp, report);
  report.error = relative_error(held_out, mlp);
  return report;
}

}  // namespace

const FieldTable<CalibrationConfig>& CalibrationConfig::fields() {
  using C = CalibrationConfig;
  static const FieldTable<C> table =
      FieldTable<C>("Converts gated MLPs into bilinear ones by least squares, without gradients.")
          .integer("tokens", &C::tokens, "Tokens of the training text that it looks at.", between(2, 1e9),
                   "tokens")
          .flag("bias", &C::bias,
                "Whether the MLPs get biases (mlp_bias), with which a unit has three more terms; without, "
                "its product f(z)y is fitted by zy and z² alone.")
          .flag("refit", &C::refit, "Whether down_proj is fitted to the teacher's residual stream.")
          .integer(
              "sweeps", &C::sweeps,
              "How often at most gate_proj, up_proj and down_proj are fitted in turn after the refit; 0: "
              "down_proj alone.",
              between(0, 100))
          .all_or_some(
              "layers", &C::layers,
              "The layers that may be converted, \"all\" or their numbers; the others keep their gate.")
          .optional_number(
              "budget", &C::budget,
              "By how much the loss on the held-out tokens may rise: the cheapest of `layers` "
              "that stay within it together, measured before any refit, are converted; null: all.",
              at_least(0), "nats a token")
          .number(
              "held_out", &C::held_out,
              "Share of the documents that is kept from the fits, to choose ridges and sweeps; and how much "
              "more is read behind them, as a share of tokens, to measure errors on, which neither fits nor "
              "choices see.",
              {1e-3, 0.5});
  return table;
}

CalibrationCost calibration_cost(const DecoderConfig& model, int64_t context,
                                 const CalibrationConfig& config) {
  const int64_t units = model.intermediate_size, d = model.hidden_size, constant = config.bias ? 1 : 0;
  const auto of_size = [](int64_t rows, int64_t columns) {
    return at::empty({rows, columns}, at::TensorOptions(at::kMeta));
  };
  const BilinearFactors mlp{of_size(units, d + constant), of_size(units, d + constant),
                            of_size(d, units + constant)};
  const int64_t count = config.layers ? static_cast<int64_t>(config.layers->size()) : model.num_hidden_layers;
  const auto layers = static_cast<double>(count), n = static_cast<double>(units);
  const double refits = config.refit ? static_cast<double>(1 + config.sweeps) : 0;
  const double tokens = static_cast<double>(config.tokens),
               sums = layers * refits * refit_flops(mlp) * tokens;
  const auto bytes_of = [&](double a_token) { return static_cast<int64_t>(std::llround(a_token * tokens)); };
  const auto inputs = static_cast<double>(d);
  CalibrationCost cost;
  cost.bytes = bytes_of(8 * (1 + config.held_out) * inputs) + 32 * units * units +
               kCalibratedAtOnce * (100 * units + 4 * (model.num_hidden_layers + 2) * d) + 24 * units * d +
               std::min(2 * kKeptRows, bytes_of(8 * inputs + 12)) + std::min(kKeptProducts, bytes_of(4 * n));
  cost.products = (layers * fit_flops(mlp, config, config.sweeps) +
                   (3 + config.held_out * static_cast<double>(2 + passes_for_costs(count))) *
                       forward_flops(model, context)) *
                      tokens -
                  sums;
  cost.solves = sums + layers * refits * 10 * n * n * n;
  return cost;
}

Calibration calibrate(const Decoder& teacher, const TokenStream& stream, int64_t context, Packing packing,
                      const CalibrationConfig& config) {
  const at::NoGradGuard no_grad;
  candidates(teacher.config(), config);
  const auto windows = count_windows((stream.size() - 1) / context, context, config);
  if (windows.fitted < 2) {
    throw Error(
        ExitCode::kBadInput,
        {"calibration", format("at least two windows of %ld tokens to fit to, and one behind them", context),
         format("tokens %ld, of a text of %ld", config.tokens, stream.size()),
         "Use more tokens, a longer text or a smaller context."});
  }
  Decoder reader(teacher.config(), by_name(teacher));
  reader.compute_in(at::kFloat);
  const auto device = teacher.parameters().front().second.device();
  const auto text = read_calibration_text(stream, windows, context, packing, config.held_out, device);
  const auto copy = copy_of(teacher, config.bias);
  CalibrationAccount account;
  const auto chosen = choose_layers(reader, copy, text, config, account);
  Calibration result{with_bilinear(copy, chosen), {}};
  account.tokens = windows.fitted * context;
  CalibrationStreams streams(reader, result.model, text);
  account.held_out_tokens = streams.tokens_for(TokenUse::kReport);
  Progress progress("calibrate", static_cast<int64_t>(chosen.size()), "layers");
  for (int64_t layer = 0; layer < teacher.config().num_hidden_layers; ++layer) {
    auto mlp = factors_of(result.model, layer);
    streams.enter(layer, mlp);
    if (!std::binary_search(chosen.begin(), chosen.end(), layer)) {
      streams.leave(mlp, teacher.config().gate_of(layer));
      continue;
    }
    const auto behind = result.model.gain_behind_mlp(layer);
    auto fitted = through_gain(mlp, behind);
    auto report = calibrate_layer(streams, teacher.config().hidden_act, config,
                                  "layer " + std::to_string(layer) + "'s activations", fitted);
    report.layer = layer;
    mlp = before_gain(fitted, behind, mlp.down);
    store(mlp, result.model, layer);
    streams.leave(mlp, Gate::kNone);
    account.flops += fit_flops(mlp, config, report.sweeps) * static_cast<double>(account.tokens);
    account.layers.push_back(report);
    progress.advance(1, format("relative error %.4f", report.error));
  }
  const auto passes = static_cast<double>(
      3 * account.tokens +
      passes_for_costs(static_cast<int64_t>(account.costs->layers.size())) * account.held_out_tokens);
  account.flops += forward_flops(teacher.config(), context) * passes;
  result.account = account;
  return result;
}

}  // namespace bilens
