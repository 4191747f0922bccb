#include "decomposer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "bilens/analysis/forms/interaction.h"
#include "bilens/analysis/forms/traceless.h"
#include "bilens/core/log.h"
#include "bilens/core/sha256.h"
#include "bilens/core/stopwatch.h"
#include "bilens/records/layer_file.h"
#include "bilens/tensor/device.h"

namespace bilens {

EigenProblem eigen_problem(const SourceLayer& source, const Directions& directions, FormChoice form) {
  return {form.traceless ? without_trace(source.layer) : source.layer,
          form.over_inputs ? source.embed : at::Tensor(), directions.u};
}

namespace {

/// Where nothing was subtracted but a trace, what it leaves is no change.
void name_rounding(std::string& words) {
  const auto place = words.find(kNoChange);
  if (place != std::string::npos) words.replace(place, std::string(kNoChange).size(), "nothing but rounding");
}

}  // namespace

Decomposer::Decomposer(const LayerSource& source, const DecomposeRunConfig& config,
                       const Weightings* weightings)
    : source_(source), config_(config), weightings_(weightings), device_(choose_device(config.device)) {}

Directions Decomposer::choose(const SourceLayer& layer) const {
  auto directions = choose_directions(config_, source_, layer);
  if (config_.directions.kind == DirectionKind::kEigenvectors) directions.u = from_layer_above(layer);
  return directions;
}

/// All but the eigenpairs.
LayerDecomposition Decomposer::describe(const SourceLayer& source, const Directions& directions) const {
  const auto problem = eigen_problem(source, directions, config_.form());
  LayerDecomposition result;
  result.layer = source.number;
  result.d_in = problem.dimension();
  result.d_hidden = source.layer.d_hidden();
  result.d_out = source.layer.d_out();
  result.dtype = config_.dtype;
  result.input_space = problem.embed.defined() ? InputSpace::kInput : InputSpace::kModel;
  result.directions_kind = directions.kind;
  result.direction_names = directions.names;
  result.output_is = directions.output_is;
  result.center = directions.centred ? Center::kMean : Center::kNone;
  result.mean_energy_share = directions.mean_share;
  if (directions.u.defined()) result.directions = directions.u.to(config_.dtype);
  if (config_.k && *config_.k > result.d_in) {
    log_info("layer " + std::to_string(source.number) + ": k = " + std::to_string(*config_.k) +
             " is clipped to the dimension, " + std::to_string(result.d_in));
  }
  if (source.layer.has_linear()) {
    const auto embed = problem.embed.defined() ? problem.embed.to(at::kDouble) : problem.embed;
    const InteractionOperator form(source.layer.to(at::kDouble, at::kCPU), directions.u, embed);
    result.linear = form.linear();
    result.constant = form.constant();
  }
  if (config_.traceless) result.shift = mean_eigenvalues(source.layer, directions.u);
  return result;
}

LayerDecomposition Decomposer::solve(const SourceLayer& source) const {
  const auto directions = choose(source);
  auto result = describe(source, directions);
  const auto problem = eigen_problem(source, directions, config_.form());
  if (config_.is_weighted()) {
    weigh(problem, result);
  } else if (config_.method->run) {
    find_factors(problem, result);
  } else {
    result.pairs = solve_eigen(problem, device_, config_.eigen(result.d_in));
  }
  return result;
}

void Decomposer::weigh(const EigenProblem& problem, LayerDecomposition& layer) const {
  const Stopwatch watch;
  layer.factors.emplace(Factors{
      weigh_spectra(problem, weightings_->at(layer.layer), device_, config_.eigen(layer.d_in)), "", 0});
  layer.factors->seconds = watch.seconds();
}

void Decomposer::find_factors(const EigenProblem& problem, LayerDecomposition& layer) const {
  const auto& method = *config_.method;
  const auto eigen = config_.eigen(layer.d_in);
  const Stopwatch watch;
  if (method.finds_pairs) layer.pairs = solve_eigen(problem, device_, eigen);
  layer.factors = method.run(problem, layer.pairs, device_, eigen, config_);
  if (source_.minus_sha256.empty()) name_rounding(layer.factors->words);
  layer.factors->seconds = watch.seconds();
}

LayerDecomposition Decomposer::write(const SourceLayer& source,
                                     const std::filesystem::path& directory) const {
  const auto directions = choose(source);
  auto head = describe(source, directions);
  const auto run = identify(source, directions);
  const auto problem = eigen_problem(source, directions, config_.form());
  const auto& method = *config_.method;
  if (method.run) {
    if (read_finished_factors(directory, head, method.name, run)) {
      log_info("layer " + std::to_string(source.number) + " is finished");
      return head;
    }
    find_factors(problem, head);
    write_factors(directory, head, run);
    return head;
  }
  const auto eigen = config_.eigen(head.d_in);
  const int64_t count = head.count();
  LayerFile file(directory, std::move(head), run);
  if (file.done() == count) return file.finish();
  if (file.done() > 0) {
    log_info("layer " + std::to_string(source.number) + ": going on after " + std::to_string(file.done()) +
             " directions");
  }
  solve_eigen(problem, device_, eigen, file.done(),
              [&](int64_t first, const EigenPairs& pairs) { file.write(first, pairs); });
  return file.finish();
}

/// What has to be equal for a run to go on with another's files.
std::string Decomposer::identify(const SourceLayer& layer, const Directions& directions) const {
  using C = DecomposeRunConfig;
  const Json config = C::fields().dump_without(config_, &C::layers, &C::device, &C::threads, &C::memory_limit,
                                               &C::data, &C::analyses, &C::tokens, &C::corpus, &C::tokenizer);
  Sha256 hash;
  const auto add = [&](const std::string& text) { hash.update(text.data(), text.size()); };
  if (source_.surrogate) {
    auto known = *source_.surrogate;
    known.layers.reset();  // what the fits are worth, to the last digit
    add(SurrogateRecord::record().write(known).dump());
  }
  add(config.dump() + source_.sha256 + source_.minus_sha256 + " layer " + std::to_string(layer.number));
  if (directions.u.defined()) {
    const auto dense = directions.u.contiguous();
    hash.update(dense.const_data_ptr(), dense.nbytes());
  }
  return hash.hex();
}

/// Eigenvectors of another layer, over its own input, as output directions of this one (arXiv 2410.08417,
/// deep models).
at::Tensor Decomposer::from_layer_above(const SourceLayer& below) const {
  const auto& spec = config_.directions;
  for (const auto& layer : source_.layers) {
    if (layer.number != spec.layer) continue;
    SourceLayer above = layer.load();
    above.embed = at::Tensor();
    DecomposeRunConfig outputs = config_;
    outputs.directions = {};
    outputs.method = &method_named(kEigen);
    const auto pairs = Decomposer(source_, outputs).solve(above).pairs;
    const auto direction = spec.direction;
    const auto& indices = spec.indices;
    const int64_t largest = indices.empty() ? -1 : *std::max_element(indices.begin(), indices.end());
    if (indices.empty() || direction >= pairs.size() || largest >= pairs.k()) {
      throw Error(ExitCode::kUsage, {"directions",
                                     "a direction below " + std::to_string(pairs.size()) +
                                         " and indices below " + std::to_string(pairs.k()),
                                     write_directions(spec).dump(), ""});
    }
    if (above.layer.d_in() != below.layer.d_out()) {
      throw Error(ExitCode::kUsage, {"directions.layer", "a layer whose input is this layer's output",
                                     std::to_string(spec.layer), ""});
    }
    return pairs.eigenvectors[direction].index_select(0, at::tensor(indices, at::kLong)).to(at::kDouble);
  }
  throw Error(ExitCode::kUsage, {"directions.layer", "a layer of the model", std::to_string(spec.layer), ""});
}

}  // namespace bilens
