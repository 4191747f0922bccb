#pragma once

#include "bilens/records/record_file.h"

namespace bilens {

/// A model beside its teacher on a part of the text.
struct SeenBesideTeacher {
  int64_t tokens = 0;
  double loss = 0, teacher_loss = 0, divergence = 0, agreement = 0;
  std::vector<double> layer_r2;  // one a layer; NaN where the teacher's stream is constant

  static const RecordTable<SeenBesideTeacher>& record();
};

/// conversion.json, beside a converted model's weights: wherever they go it is known that they are not the
/// original's, and how far from it they are.
struct ConversionRecord {
  static constexpr RecordFormat kFormat = {"bilens-conversion", 1};
  static constexpr const char* kFile = "conversion.json";

  std::string teacher;
  std::string teacher_sha256;
  std::optional<SeenBesideTeacher> validation, test;

  static const RecordTable<ConversionRecord>& record();
};

}  // namespace bilens
