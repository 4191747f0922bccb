#include "bilens/run/decomposer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/interaction.h"
#include "bilens/core/log.h"
#include "bilens/tensor/device.h"

namespace bilens {

namespace {

EigenConfig eigen_config(const DecomposeRunConfig& config, int64_t dimension) {
  EigenConfig eigen;
  eigen.k = config.k_for(dimension);
  eigen.dtype = parse_dtype(config.dtype);
  eigen.tolerance = config.tolerance;
  eigen.energy = config.energy != "off";
  eigen.memory_limit = config.memory_bytes();
  return eigen;
}

}  // namespace

Decomposer::Decomposer(const LayerSource& source, const DecomposeRunConfig& config)
    : source_(source), config_(config), device_(choose_device(config.device)) {}

LayerDecomposition Decomposer::solve(const SourceLayer& layer) const {
  auto directions = choose_directions(config_, layer);
  if (directions.kind == "eigenvectors") directions.u = from_layer_above(layer);
  return solve(layer, directions);
}

LayerDecomposition Decomposer::solve(const SourceLayer& source, const Directions& directions) const {
  const bool fold = source.embed.defined() && config_.input_space == "input";
  const at::Tensor embed = fold ? source.embed : at::Tensor();
  LayerDecomposition result;
  result.layer = source.number;
  result.d_in = fold ? embed.size(1) : source.layer.d_in();
  result.d_hidden = source.layer.d_hidden();
  result.d_out = source.layer.d_out();
  result.dtype = config_.dtype;
  result.input_space = fold ? "input" : "model";
  result.directions_kind = directions.kind;
  result.output_is = directions.output_is;
  result.center = directions.center;
  result.mean_energy_share = directions.mean_share;
  if (directions.u.defined()) result.directions = directions.u.to(parse_dtype(config_.dtype));
  if (config_.k.is_number() && config_.k.get<int64_t>() > result.d_in) {
    log_info("layer " + std::to_string(source.number) + ": k = " + config_.k.dump() +
             " is clipped to the dimension, " + std::to_string(result.d_in));
  }
  result.pairs = solve_dense(source.layer, embed, directions.u, device_, eigen_config(config_, result.d_in));
  if (source.layer.has_linear()) {
    const InteractionOperator form(source.layer.to(at::kDouble, at::kCPU), directions.u);
    result.linear = fold ? form.linear().mm(embed.to(at::kDouble)) : form.linear();
    result.constant = form.constant();
  }
  return result;
}

/// Eigenvectors of another layer, over its own input, as output directions of this one (arXiv 2410.08417,
/// deep models).
at::Tensor Decomposer::from_layer_above(const SourceLayer& below) const {
  const auto& spec = config_.directions;
  for (const auto& layer : source_.layers) {
    if (layer.number != spec.at("layer")) continue;
    SourceLayer above = layer;
    above.embed = at::Tensor();
    DecomposeRunConfig outputs = config_;
    outputs.directions = {{"kind", "outputs"}};
    const auto pairs = Decomposer(source_, outputs).solve(above).pairs;
    const auto direction = spec.at("direction").get<int64_t>();
    const auto indices = spec.at("indices").get<std::vector<int64_t>>();
    const int64_t largest = indices.empty() ? -1 : *std::max_element(indices.begin(), indices.end());
    if (indices.empty() || direction >= pairs.size() || largest >= pairs.k()) {
      throw Error(ExitCode::kUsage, {"directions",
                                     "a direction below " + std::to_string(pairs.size()) +
                                         " and indices below " + std::to_string(pairs.k()),
                                     spec.dump(), ""});
    }
    if (above.layer.d_in() != below.layer.d_out()) {
      throw Error(ExitCode::kUsage, {"directions.layer", "a layer whose input is this layer's output",
                                     spec.at("layer").dump(), ""});
    }
    return pairs.eigenvectors[direction].index_select(0, at::tensor(indices, at::kLong)).to(at::kDouble);
  }
  throw Error(ExitCode::kUsage, {"directions.layer", "a layer of the model", spec.at("layer").dump(), ""});
}

}  // namespace bilens
