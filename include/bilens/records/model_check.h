#pragma once

#include "bilens/records/record_file.h"

namespace bilens {

/// One of the quantities that a model computes, here and in transformers.
struct CheckedQuantity {
  std::string name;  // "embedding", "layer 0", ..., "layer 3, norm", "logits", "loss"
  double largest = 0, difference = 0, error = 0;
  std::optional<double> reference_error;
  double tolerance = 0;
  bool within = false;

  static const RecordTable<CheckedQuantity>& record();
};

/// All that is compared in one dtype.
struct CheckedDtype {
  std::string dtype, reference_dtype;
  double loss = 0, reference_loss = 0;
  std::vector<CheckedQuantity> quantities;

  static const RecordTable<CheckedDtype>& record();
};

/// How a text is tokenized, here and in transformers.
struct CheckedTokenizer {
  std::string reference_class;
  int64_t ids = 0, reference_ids = 0;
  std::optional<int64_t> first_difference;
  std::optional<bool> same_as_file, file_same_as_reference;
  bool within = false;

  static const RecordTable<CheckedTokenizer>& record();
};

/// check.json: a model beside transformers.
struct ModelCheck {
  static constexpr RecordFormat kFormat = {"bilens-check", 1};
  static constexpr const char* kFile = "check.json";

  std::string model, model_sha256, version, device;
  std::string transformers, torch, model_class, reference;
  int64_t rows = 0, length = 0;
  std::vector<CheckedDtype> dtypes;
  std::optional<CheckedTokenizer> tokenizer;
  bool passed = false;
  std::vector<std::string> failures, notes;

  static const RecordTable<ModelCheck>& record();
};

}  // namespace bilens
