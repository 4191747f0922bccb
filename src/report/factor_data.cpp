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

/// Draws what each method found, as groups of cards.
class Drawing {
 public:
  Drawing(const LayerDecomposition& layer, const Detail& detail)
      : most_(2 * detail.vectors), directions_(std::min(layer.count(), detail.directions)) {}

  Json operator()(const HosvdFactors& found) const {
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
    return {group("Input factors", inputs, of_input), group("Output factors", outputs, of_output)};
  }

  /// A path of sparsities: the vectors of each step, direction by direction.
  Json operator()(const SparseFactors& found) const {
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
    return groups;
  }

  Json operator()(const RotatedFactors& found) const {
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
    return groups;
  }

  Json operator()(const JointFactors& found) const {
    const int64_t k = found.vectors.size(0);
    Json items = Json::array();
    for (int64_t i = 0; i < shown(k); ++i)
      items.push_back(card("Vector " + std::to_string(i), Json::array({picture("", found.vectors[i])}),
                           found.values.select(1, i),
                           Json::array({fact("energy", found.diagonal_energy, i),
                                        fact("participation", found.measure.participation, i)})));
    return Json::array({group("", items, k)});
  }

  /// The linear part and the terms, direction by direction.
  Json operator()(const WeightedFactors& found) const {
    const int64_t k = found.values.size(1);
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array({linear_part_card(found, u)});
      for (int64_t i = 0; i < shown(k); ++i) items.push_back(term_card(found, u, i));
      groups.push_back(group(std::to_string(u), items, k + 1));
    }
    return groups;
  }

  /// sym(l rᵀ) has the eigenvectors l + r and l − r, l and r being unit: a term is (p₊² − p₋²)/4 with p = (l
  /// ± r)·x.
  Json operator()(const CpFactors& found) const {
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
    return Json::array({group("", items, terms)});
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
  return {{"words", layer.factors->words},
          {"groups", std::visit(Drawing(layer, detail), layer.factors->found)}};
}

}  // namespace bilens::report
