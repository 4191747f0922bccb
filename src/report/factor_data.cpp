#include "factor_data.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "encode.h"
#include "numbers.h"

namespace bilens::report {

namespace {

constexpr int64_t kMostWeights = 64;  // outputs that a card can show as bars

Json picture(const std::string& label, const at::Tensor& vector) {
  Json json = quantised(vector);
  json["label"] = label;
  return json;
}

Json fact(const std::string& name, const at::Tensor& values, int64_t i) {
  return {name, short_number(values[i].item<double>())};
}

Json card(const std::string& title, Json pictures, const at::Tensor& weights, Json facts) {
  Json json = {
      {"title", title}, {"pictures", std::move(pictures)}, {"weights", nullptr}, {"facts", std::move(facts)}};
  if (weights.defined() && weights.numel() <= kMostWeights) {
    const auto dense = weights.to(at::kDouble).contiguous();
    const double* first = dense.const_data_ptr<double>();
    json["weights"] = short_numbers({first, first + dense.numel()});
  }
  return json;
}

Json group(const std::string& title, const Json& items, int64_t all) {
  return {{"title", title}, {"items", items}, {"left_out", all - static_cast<int64_t>(items.size())}};
}

/// What a method's factors are, in a sentence or two; whether a group is one direction's; and the groups of
/// cards.
struct Drawn {
  const char* meaning;
  bool by_direction;
  Json groups;
};

/// Draws what each method found.
class Drawing {
 public:
  Drawing(const LayerDecomposition& layer, const Detail& detail)
      : most_(2 * detail.vectors), directions_(std::min(layer.count(), detail.directions)) {}

  Drawn operator()(const HosvdFactors& found) const {
    const auto facts = [](const HosvdMode& mode, int64_t i) {
      return Json::array({fact("sigma", mode.singular_values, i), fact("energy", mode.energy, i)});
    };
    const int64_t of_input = found.input.vectors.size(0), of_output = found.output.vectors.size(0);
    Json inputs = Json::array(), outputs = Json::array();
    for (int64_t i = 0; i < shown(of_input); ++i)
      inputs.push_back(card("Input " + std::to_string(i), Json::array({picture("", found.input.vectors[i])}),
                            {}, facts(found.input, i)));
    for (int64_t i = 0; i < shown(of_output); ++i)
      outputs.push_back(card("Output " + std::to_string(i), Json::array(), found.output.vectors[i],
                             facts(found.output, i)));
    return {
        "Singular vectors of the whole tensor: the input patterns and the mixtures of outputs that hold most "
        "of its energy.",
        false,
        {group("Input factors", inputs, of_input), group("Output factors", outputs, of_output)}};
  }

  /// A path of sparsities: the vectors of each step, direction by direction.
  Drawn operator()(const SparseFactors& found) const {
    const auto steps = static_cast<int64_t>(found.sparsity.size());
    const int64_t k = found.values.size(2);
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array();
      for (int64_t s = 0; s < steps; ++s) {
        for (int64_t i = 0; i < shown(k, steps); ++i) {
          Json facts = Json::array({fact("value", found.values[s][u], i)});
          if (found.diagonal_energy.defined())
            facts.push_back(fact("energy", found.diagonal_energy[s][u], i));
          items.push_back(
              card(std::to_string(found.sparsity[static_cast<size_t>(s)]) + " entries, " + std::to_string(i),
                   Json::array({picture("", found.vectors[s][u][i])}), {}, facts));
        }
      }
      groups.push_back(group(std::to_string(u), items, steps * k));
    }
    return {
        "Vectors with few entries for which |xᵀQx| is large: each says what a handful of components do "
        "together.",
        true, std::move(groups)};
  }

  Drawn operator()(const RotatedFactors& found) const {
    const int64_t k = found.values.size(1);
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array();
      for (int64_t i = 0; i < shown(k); ++i)
        items.push_back(card("Vector " + std::to_string(i), Json::array({picture("", found.vectors[u][i])}),
                             {},
                             Json::array({fact("value", found.values[u], i),
                                          fact("participation", found.measure.participation[u], i)})));
      groups.push_back(group(std::to_string(u), items, k));
    }
    return {"A sparse orthonormal basis of the space that each output’s top eigenvectors span.", true,
            std::move(groups)};
  }

  Drawn operator()(const JointFactors& found) const {
    const int64_t k = found.vectors.size(0);
    Json items = Json::array();
    for (int64_t i = 0; i < shown(k); ++i)
      items.push_back(card("Vector " + std::to_string(i), Json::array({picture("", found.vectors[i])}),
                           found.values.select(1, i),
                           Json::array({fact("energy", found.diagonal_energy, i),
                                        fact("participation", found.measure.participation, i)})));
    return {
        "One orthonormal basis for all outputs, in which their matrices are as nearly diagonal as possible.",
        false, Json::array({group("", items, k)})};
  }

  /// The linear part and the terms, direction by direction.
  Drawn operator()(const WeightedFactors& found) const {
    const int64_t k = found.values.size(1);
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array({linear_part_card(found, u)});
      for (int64_t i = 0; i < shown(k); ++i) items.push_back(term_card(found, u, i));
      groups.push_back(group(std::to_string(u), items, k + 1));
    }
    return {
        "For each output, a linear part and terms κ((r·ξ)² − 1), ξ being what an input has beside the mean "
        "of "
        "the data. The reading r is what a term projects inputs on; its pattern is how inputs look that "
        "project "
        "far. Terms come in the order of their share of the quadratic part’s variance under a Gaussian of "
        "the "
        "data’s covariance.",
        true, std::move(groups)};
  }

  /// sym(l rᵀ) has the eigenvectors l + r and l − r, l and r being unit: a term is (p₊² − p₋²)/4 with p = (l
  /// ± r)·x.
  Drawn operator()(const CpFactors& found) const {
    const int64_t terms = found.left.size(0);
    const auto left = found.left.to(at::kDouble), right = found.right.to(at::kDouble);
    const auto cosine = (left * right).sum(1);
    Json items = Json::array();
    for (int64_t r = 0; r < shown(terms); ++r)
      items.push_back(
          card("Term " + std::to_string(r),
               Json::array({picture("left", left[r]), picture("right", right[r]),
                            picture("plus", left[r] + right[r]), picture("minus", left[r] - right[r])}),
               found.outputs.select(1, r),
               Json::array({fact("cosine", cosine, r), fact("energy", found.diagonal_energy, r)})));
    return {
        "Terms that all outputs share: a term is the product of two projections, (l·x)(r·x), with a weight "
        "for "
        "each output. It is a quarter of the difference of the squares of two projections: on plus, l + r, "
        "and on "
        "minus, l − r.",
        false, Json::array({group("", items, terms)})};
  }

 private:
  static Json linear_part_card(const WeightedFactors& found, int64_t u) {
    Json facts = Json::array();
    const auto add = [&](const std::string& name, const at::Tensor& values) {
      if (values.defined()) facts.push_back(fact(name, values, u));
    };
    add("linear_variance", found.linear_variance), add("quadratic_variance", found.quadratic_variance);
    add("variance", found.variance);
    if (found.r2.defined()) add("r2", found.r2.select(1, 0));
    add("centre", found.centre), add("shift", found.shift), add("rank", found.effective_rank);
    add("bound", found.certified_bound), add("floor", found.floor);
    return card("Linear part", Json::array({picture("slope", found.slope[u]), picture("mean", found.mean)}),
                {}, facts);
  }

  static Json term_card(const WeightedFactors& found, int64_t u, int64_t i) {
    Json facts = Json::array({fact("kappa", found.values[u], i), fact("share", found.shares[u], i)});
    if (found.r2.defined()) facts.push_back(fact("r2", found.r2[u], i + 1));
    facts.push_back(fact("residual", found.residuals[u], i));
    facts.push_back(fact("vector_error", found.vector_error[u], i));
    return card(
        "Term " + std::to_string(i),
        Json::array({picture("reading", found.readings[u][i]), picture("pattern", found.patterns[u][i])}), {},
        facts);
  }

  int64_t shown(int64_t count, int64_t lists = 1) const {
    return std::min(count, std::max<int64_t>(most_ / lists, 0));
  }

  int64_t most_, directions_;
};

}  // namespace

Json factor_data(const LayerDecomposition& layer, const Detail& detail) {
  auto drawn = std::visit(Drawing(layer, detail), layer.factors->found);
  return {{"words", layer.factors->words},
          {"meaning", drawn.meaning},
          {"by_direction", drawn.by_direction},
          {"groups", std::move(drawn.groups)}};
}

}  // namespace bilens::report
