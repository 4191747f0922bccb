#include "directions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bilens/analysis/forms/gram.h"
#include "bilens/core/text.h"
#include "bilens/io/tensor_expression.h"
#include "bilens/tensor/device.h"
#include "bilens/tensor/random.h"
#include "bilens/tensor/shape.h"
#include "decompose_config.h"
#include "decomposer.h"

namespace bilens {

namespace {

at::Tensor given_directions(const DirectionsConfig& spec, int64_t d_out) {
  const auto check = [&](const at::Tensor& rows, const std::string& where) {
    require_shape(rows, {-1, d_out}, where);
    require_finite(rows, where);
    if (rows.size(0) == 0) throw Error(ExitCode::kBadInput, {where, "at least one row", "none", ""});
    return rows.to(at::kDouble);
  };
  if (spec.given.defined()) return check(spec.given, "directions").clone();
  const Weights file(spec.path);
  return check(read_expression(file, spec.tensor), file.path().string() + ": " + spec.tensor);
}

/// n‖Q̄‖² / Σ‖Q_u‖² of the forms that are decomposed, for directions before centring and their mean: the share
/// of the energy that these directions have in common. At most 1, for the mean of squares is no less than the
/// square of the mean.
double mean_energy_share(FormChoice form, const SourceLayer& source, const at::Tensor& rows) {
  const int64_t n = rows.size(0);
  Directions directions;
  directions.u = at::cat({rows, rows.mean(0, /*keepdim=*/true)});
  const auto squares = squared_frobenius(eigen_problem(source, directions, form));
  const double all = squares.narrow(0, 0, n).sum().item<double>(), common = squares[n].item<double>();
  return all > 0 ? std::min(static_cast<double>(n) * common / all, 1.0) : 0.0;
}

/// Directions as the file holds them, in the run's dtype: what is decomposed is what is stored.
at::Tensor as_stored(const at::Tensor& u, at::ScalarType type) {
  const auto stored = u.to(type).to(at::kDouble);
  const auto lost = (stored - u).abs().amax(1) > machine_epsilon(type) * u.abs().amax(1);
  if (!lost.any().item<bool>()) return stored;
  const auto row = lost.nonzero()[0].item<int64_t>();
  throw Error(ExitCode::kBadInput,
              {"directions", "numbers that " + dtype_name(type) + " holds to its precision",
               "a largest entry of " + format("%.3g", u[row].abs().max().item<double>()) + " in direction " +
                   std::to_string(row),
               "Set dtype to \"float64\", or scale the directions."});
}

/// Rows of a head as directions, float64; centred: less their mean.
at::Tensor head_directions(const at::Tensor& head, bool centred) {
  const auto rows = head.to(at::kDouble);
  return centred ? rows - rows.mean(0, true) : rows;
}

/// Singular vectors of the outputs' mode, as directions: what the outputs have in common comes first.
at::Tensor leading_outputs(int64_t count, bool centred, at::ScalarType dtype, FormChoice form,
                           const SourceLayer& source) {
  Directions outputs;
  if (source.head.defined()) outputs.u = as_stored(head_directions(source.head, centred), dtype);
  HosvdConfig hosvd;
  hosvd.count = count;
  const auto mixes = output_hosvd(eigen_problem(source, outputs, form), hosvd).vectors;
  return outputs.u.defined() ? mixes.mm(outputs.u) : mixes;
}

struct Tokens {
  at::Tensor rows;                 // unembedding rows, float64 [n, d], centred when asked for
  std::vector<std::string> names;  // n
};

Tokens find_tokens(const std::vector<TokenName>& list, const std::string& where, const Vocabulary& vocabulary,
                   bool centred) {
  Tokens tokens;
  std::vector<int64_t> ids;
  for (size_t i = 0; i < list.size(); ++i) {
    ids.push_back(vocabulary.id_of(list[i], where + "[" + std::to_string(i) + "]"));
    tokens.names.push_back(vocabulary.name(ids.back()));
  }
  tokens.rows = vocabulary.unembedding.rows(at::tensor(ids, at::kLong));
  if (!centred) tokens.rows += vocabulary.unembedding.mean();
  return tokens;
}

/// One direction: the mean row of some tokens, less that of others.
void choose_difference(const DirectionsConfig& spec, const Vocabulary& vocabulary, Directions& chosen) {
  const bool centred = chosen.centred;
  const auto plus = find_tokens(spec.plus, "directions.plus", vocabulary, centred);
  chosen.u = plus.rows.mean(0, /*keepdim=*/true);
  chosen.names = {join(plus.names)};
  if (spec.minus.empty()) return;
  const auto minus = find_tokens(spec.minus, "directions.minus", vocabulary, centred);
  chosen.u = chosen.u - minus.rows.mean(0, /*keepdim=*/true);
  chosen.names = {join(plus.names) + " − " + join(minus.names)};
  if (chosen.u.count_nonzero().item<int64_t>() == 0) {
    throw Error(ExitCode::kUsage, {"directions", "tokens whose mean rows differ", "the same on both sides",
                                   "Name others in plus or in minus."});
  }
}

void choose_token_directions(const DecomposeRunConfig& config, const Vocabulary& vocabulary,
                             const SourceLayer& source, Directions& chosen) {
  chosen.centred = config.centred;
  if (config.directions.kind == DirectionKind::kTokens)
    return choose_difference(config.directions, vocabulary, chosen);
  const auto tokens = find_tokens(config.directions.tokens, "directions.tokens", vocabulary, false);
  chosen.names = tokens.names;
  chosen.u = config.centred ? tokens.rows - vocabulary.unembedding.mean() : tokens.rows;
  const bool cheap = tokens.rows.size(0) >= source.layer.d_hidden() / 8;  // as in solve_eigen
  if (config.centred && (config.energy == Energy::kExact || (config.energy == Energy::kAuto && cheap)))
    chosen.mean_share = mean_energy_share(config.form(), source, tokens.rows);
}

}  // namespace

Directions choose_directions(const DecomposeRunConfig& config, const LayerSource& model,
                             const SourceLayer& source) {
  using Kind = DirectionKind;
  const auto kind = config.directions.kind;
  const int64_t d_out = source.layer.d_out();
  Directions chosen;
  chosen.kind = kind;
  if (kind == Kind::kOutputs && source.head.defined()) {
    chosen.output_is = OutputIs::kLogits;
    chosen.centred = config.centred;
    chosen.u = head_directions(source.head, config.centred);
    if (config.centred)
      chosen.mean_share = mean_energy_share(config.form(), source, source.head.to(at::kDouble));
  } else if (kind == Kind::kOutputs || kind == Kind::kAxes) {
    chosen.kind = Kind::kAxes;
  } else if (kind == Kind::kRandom) {
    const auto count = config.directions.count;
    const auto seed = derive_seed(static_cast<uint64_t>(config.directions.seed), "directions");
    const auto u = at::randn({count, d_out}, make_generator(at::kCPU, seed), at::dtype(at::kDouble));
    chosen.u = u / u.norm(2, {1}, true);
  } else if (kind == Kind::kFile) {
    chosen.u = given_directions(config.directions, d_out);
  } else if (kind == Kind::kHosvd) {
    chosen.u = leading_outputs(config.directions.count, config.centred, config.dtype, config.form(), source);
  } else if (kind == Kind::kTokens || kind == Kind::kUnembedding) {
    choose_token_directions(config, *model.vocabulary, source, chosen);
  }
  if (chosen.u.defined()) chosen.u = as_stored(chosen.u, config.dtype);
  return chosen;
}

}  // namespace bilens
