#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "bilens/core/json.h"
#include "bilens/io/safetensors.h"
#include "checked_json.h"
#include "image_pool.h"

namespace bilens::report {

/// What a study says of one layer: n directions, k eigenpairs each. NaN where it says nothing.
class LayerStudy {
 public:
  /// {"mean", "std", "data_r2", "positive", "negative"} of an eigenpair, without what the study has not;
  /// null: undefined.
  Json eigenpair(int64_t direction, int64_t index, int64_t max_examples, ImagePool& images) const;
  Json linear_share(int64_t direction) const;

 private:
  friend class Study;
  struct Examples {
    at::Tensor rows, projections;  // int64, float64 [n, k, e]
  };
  void read_numbers(const CheckedJson& entry, int64_t n, int64_t k);
  void read_examples(const SafetensorsFile& file, const std::string& prefix, int64_t n);
  Json examples(const std::optional<Examples>& all, int64_t direction, int64_t index, int64_t count,
                ImagePool& pool) const;

  std::vector<std::vector<double>> mean_, std_, data_r2_;  // [n][k]
  std::vector<double> linear_share_;                       // [n], or empty
  std::optional<Examples> positive_, negative_;
  at::Tensor images_, labels_;  // uint8 [m, height, width], int64 [m]
};

/// study.json and study.safetensors of a decomposition directory.
class Study {
 public:
  /// Null when there is no study. @throws Error(kBadInput) when it is damaged.
  static std::unique_ptr<Study> read(const std::filesystem::path& decomposition);

  /// {"data", "evaluation", "truncation", "exactness"}; null for what there is not.
  Json summary() const;
  /// Empty when the study is silent about the layer. @param n, k  directions and eigenpairs of the
  /// decomposition
  std::optional<LayerStudy> layer(int64_t number, int64_t n, int64_t k) const;

 private:
  Json json_;
  std::string where_;
  std::unique_ptr<SafetensorsFile> tensors_;
};

}  // namespace bilens::report
