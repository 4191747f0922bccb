#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bilens/io/safetensors.h"

namespace bilens {

/// In what numbers a tensor of a file is stored.
enum class StoredAs { kRunDtype, kFloat64, kFloat32, kFloat32OrBfloat16, kInt32, kInt64, kUint8 };

/// "float64", ...
std::string stored_name(StoredAs stored);

/// The shape of a tensor that may have any; its meaning says whose it is.
inline constexpr const char* kAnyShape = "...";

/// What a file says of one tensor.
struct TensorField {
  std::string name;
  std::string shape;  // dimensions by name: "n, k, d_in", "k + 1", "2"; or kAnyShape
  StoredAs stored = StoredAs::kFloat64;
  std::string meaning;
  bool optional = false;
};

/// Sizes by the names of dimensions.
using Dimensions = std::map<std::string, int64_t>;

/// Fits a tensor to what its file says of it. A dimension whose name has no size yet takes the tensor's.
/// @throws Error(kBadInput) that names the tensor, where shape or dtype differ
void require_fit(const at::Tensor& tensor, const TensorField& field, const std::string& where,
                 Dimensions& dimensions);

/// The table of the tensors that a struct has in a safetensors file of ours. It stands beside the struct; the
/// writer, the reader and the tables of docs/formats.md come from it.
template <class R>
class TensorTable {
 public:
  TensorTable& tensor(const std::string& name, at::Tensor R::*member, const std::string& shape,
                      StoredAs stored, const std::string& meaning) {
    rows_.push_back(
        {{name, shape, stored, meaning, false}, [member](R& record) { return &(record.*member); }});
    return *this;
  }
  /// The last tensor is there only where it has a value.
  TensorTable& optional() {
    rows_.back().about.optional = true;
    return *this;
  }
  /// The tensors of a member, by a table of its own: "PREFIXname". @param shape put in front of each shape
  template <class P>
  TensorTable& part(const std::string& prefix, P R::*member, const TensorTable<P>& table,
                    const std::string& shape = "") {
    for (const auto& row : table.rows_) {
      TensorField about = row.about;
      about.name = prefix + about.name;
      if (!shape.empty()) about.shape = about.shape.empty() ? shape : shape + ", " + about.shape;
      rows_.push_back({about, [member, get = row.get](R& record) { return get(record.*member); }});
    }
    return *this;
  }

  /// The tensors that have a value, under "PREFIXname". @throws Error(kBadInput) where one does not fit its
  /// row
  NamedTensors write(const R& record, const std::string& prefix, Dimensions dimensions) const {
    NamedTensors tensors;
    for (const auto& row : rows_) {
      const at::Tensor& tensor = *row.get(const_cast<R&>(record));
      if (!tensor.defined() && row.about.optional) continue;
      require_fit(tensor, row.about, prefix + row.about.name, dimensions);
      tensors.emplace_back(prefix + row.about.name, tensor);
    }
    return tensors;
  }

  /// Mapped from the file, not read. @param dimensions takes the sizes that are found
  /// @throws Error(kBadInput) for a tensor that is missing or does not fit its row
  void read(const WeightFile& file, const std::string& prefix, R& record, Dimensions& dimensions) const {
    for (const auto& row : rows_) {
      const std::string name = prefix + row.about.name;
      if (row.about.optional && file.tensors().count(name) == 0) continue;
      const auto tensor = file.tensor(name);
      require_fit(tensor, row.about, file.path().string() + ": " + name, dimensions);
      *row.get(record) = tensor;
    }
  }

  /// Each tensor by its name, whether it has a value or not.
  void each(const R& record, const std::function<void(const TensorField&, const at::Tensor&)>& take) const {
    for (const auto& row : rows_) take(row.about, *row.get(const_cast<R&>(record)));
  }

  std::vector<TensorField> fields() const {
    std::vector<TensorField> all;
    for (const auto& row : rows_) all.push_back(row.about);
    return all;
  }

 private:
  template <class Other>
  friend class TensorTable;

  struct Row {
    TensorField about;
    std::function<at::Tensor*(R&)> get;
  };

  std::vector<Row> rows_;
};

}  // namespace bilens
