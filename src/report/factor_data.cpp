#include "factor_data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include "bilens/analysis/factors/method.h"
#include "bilens/tensor/shape.h"
#include "encode.h"

namespace bilens::report {

namespace {

constexpr int64_t kMostWeights = 64;  // outputs that a card can show as bars

class FactorFile {
 public:
  FactorFile(const CheckedJson& entry, const SafetensorsFile& file, const Detail& detail)
      : entry_(entry),
        file_(file),
        most_(2 * detail.vectors),
        directions_(std::min(entry.size("n_directions"), detail.directions)),
        n_(entry.size("n_directions")),
        d_(entry.size("d_in")) {}

  Json hosvd() const {
    const auto of_inputs = mode("input", d_), of_outputs = mode("output", n_);
    Json inputs = Json::array(), outputs = Json::array();
    for (int64_t i = 0; i < shown(of_inputs.count); ++i) {
      inputs.push_back(
          card("Input " + std::to_string(i), {picture("", of_inputs.vectors[i])}, {},
               Json::array({fact("sigma", of_inputs.sigma, i), fact("energy", of_inputs.energy, i)})));
    }
    for (int64_t i = 0; i < shown(of_outputs.count); ++i) {
      outputs.push_back(
          card("Output " + std::to_string(i), Json::array(), of_outputs.vectors[i],
               Json::array({fact("sigma", of_outputs.sigma, i), fact("energy", of_outputs.energy, i)})));
    }
    return {group("Input factors", inputs, of_inputs.count),
            group("Output factors", outputs, of_outputs.count)};
  }

  /// A path of sparsities: the vectors of each step, direction by direction.
  Json sparse_eigen() const {
    const auto path = entry_.object("figures").numbers("sparsity");
    const auto steps = static_cast<int64_t>(path.size());
    const auto vectors = tensor("sparse_vectors", {steps, n_, -1, d_});
    const int64_t k = vectors.size(2);
    const auto values = tensor("sparse_values", {steps, n_, k}),
               energy = tensor("sparse_diagonal_energy", {steps, n_, k});
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array();
      for (int64_t s = 0; s < steps; ++s) {
        for (int64_t i = 0; i < shown(k, steps); ++i) {
          items.push_back(
              card(std::to_string(static_cast<int64_t>(path[s])) + " entries, " + std::to_string(i),
                   {picture("", vectors[s][u][i])}, {},
                   Json::array({fact("value", values[s][u], i), fact("energy", energy[s][u], i)})));
        }
      }
      groups.push_back(group(std::to_string(u), items, steps * k));
    }
    return groups;
  }

  Json rotate() const {
    const auto vectors = tensor("rotated_vectors", {n_, -1, d_});
    const int64_t k = vectors.size(1);
    const auto values = tensor("rotated_values", {n_, k}), spread = tensor("rotated_participation", {n_, k});
    Json groups = Json::array();
    for (int64_t u = 0; u < directions_; ++u) {
      Json items = Json::array();
      for (int64_t i = 0; i < shown(k); ++i) {
        items.push_back(
            card("Vector " + std::to_string(i), {picture("", vectors[u][i])}, {},
                 Json::array({fact("value", values[u], i), fact("participation", spread[u], i)})));
      }
      groups.push_back(group(std::to_string(u), items, k));
    }
    return groups;
  }

  Json joint() const {
    const auto vectors = tensor("joint_vectors", {-1, d_});
    const int64_t k = vectors.size(0);
    const auto values = tensor("joint_values", {n_, k}), energy = tensor("joint_diagonal_energy", {k});
    Json items = Json::array();
    for (int64_t i = 0; i < shown(k); ++i) {
      items.push_back(card("Vector " + std::to_string(i), {picture("", vectors[i])}, values.select(1, i),
                           Json::array({fact("energy", energy, i)})));
    }
    return {group("", items, k)};
  }

  /// sym(l rᵀ) has the eigenvectors l + r and l − r, l and r being unit: a term is (p₊² − p₋²)/4 with p = (l
  /// ± r)·x.
  Json cp() const {
    const auto left = tensor("cp_left", {-1, d_});
    const int64_t terms = left.size(0);
    const auto right = tensor("cp_right", {terms, d_}), outputs = tensor("cp_outputs", {n_, terms}),
               energy = tensor("cp_diagonal_energy", {terms});
    const auto cosine = (left * right).sum(1);
    Json items = Json::array();
    for (int64_t r = 0; r < shown(terms); ++r) {
      items.push_back(card("Term " + std::to_string(r),
                           {picture("left", left[r]), picture("right", right[r]),
                            picture("plus", left[r] + right[r]), picture("minus", left[r] - right[r])},
                           outputs.select(1, r),
                           Json::array({fact("cosine", cosine, r), fact("energy", energy, r)})));
    }
    return {group("", items, terms)};
  }

 private:
  struct Mode {
    int64_t count;
    at::Tensor vectors, sigma, energy;
  };

  Mode mode(const std::string& name, int64_t size) const {
    const auto vectors = tensor("hosvd_" + name + "_vectors", {-1, size});
    const int64_t count = vectors.size(0);
    return {count, vectors, tensor("hosvd_" + name + "_singular_values", {count}),
            tensor("hosvd_" + name + "_energy", {count})};
  }

  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const {
    const auto found = file_.tensor(name);
    require_shape(found, shape, file_.path().string() + ": " + name);
    return found.to(at::kDouble).contiguous();
  }

  int64_t shown(int64_t count, int64_t lists = 1) const {
    return std::min(count, std::max<int64_t>(most_ / lists, 0));
  }

  static Json picture(const std::string& label, const at::Tensor& vector) {
    Json json = quantised(vector);
    json["label"] = label;
    return json;
  }

  static Json fact(const std::string& name, const at::Tensor& values, int64_t i) {
    return {name, short_number(values[i].item<double>())};
  }

  static Json card(const std::string& title, Json pictures, const at::Tensor& weights, Json facts) {
    Json json = {{"title", title},
                 {"pictures", std::move(pictures)},
                 {"weights", nullptr},
                 {"facts", std::move(facts)}};
    if (weights.defined() && weights.numel() <= kMostWeights) {
      const auto dense = weights.contiguous();
      const double* first = dense.const_data_ptr<double>();
      json["weights"] = short_numbers({first, first + dense.numel()});
    }
    return json;
  }

  static Json group(const std::string& title, const Json& items, int64_t all) {
    return {{"title", title}, {"items", items}, {"left_out", all - static_cast<int64_t>(items.size())}};
  }

  const CheckedJson& entry_;
  const SafetensorsFile& file_;
  int64_t most_, directions_, n_, d_;
};

}  // namespace

Json factor_data(const CheckedJson& entry, const SafetensorsFile& file, const Detail& detail) {
  const std::map<std::string, Json (FactorFile::*)() const> drawings = {
      {"hosvd", &FactorFile::hosvd},
      {"sparse_eigen", &FactorFile::sparse_eigen},
      {"rotate", &FactorFile::rotate},
      {"joint", &FactorFile::joint},
      {"cp", &FactorFile::cp}};
  const auto& method = method_named(entry.text("method"), "decomposition.json: method");
  if (!method.run) return nullptr;
  const auto drawing = drawings.find(method.name);
  if (drawing == drawings.end()) throw std::logic_error("the page has no drawing of method " + method.name);
  const FactorFile factors(entry, file, detail);
  return {{"words", entry.text_or_empty("words")}, {"groups", (factors.*drawing->second)()}};
}

}  // namespace bilens::report
