#include "bilens/study/image_study.h"

#include <algorithm>

#include "bilens/model/model_directory.h"
#include "studies.h"

namespace bilens {

namespace {

ImageStudyConfig what_is_wanted(const std::vector<Analysis>& analyses) {
  const auto wants = [&](Analysis analysis) {
    return std::find(analyses.begin(), analyses.end(), analysis) != analyses.end();
  };
  return {wants(Analysis::kTruncation), wants(Analysis::kExactness), wants(Analysis::kImportance),
          ImageStudyConfig{}.examples};
}

/// Nothing where there are no images.
void study_on_images(const StudyInput& input, std::vector<LayerResult>&) {
  const auto& images = input.data.images;
  if (!images) return;
  auto model = load_classifier(input.source.model, at::kCPU);
  write_image_study(input.out, make_image_study(model, images->data, images->dataset, input.decomposition,
                                                what_is_wanted(input.config.analyses)));
}

/// Inputs in float64 and half as much again for hidden states; terms, their sums and errors.
StudyCost cost_on_images(const EigenSizes& sizes, const LayerSource&, const DecomposeRunConfig&,
                         const DecomposeData& data) {
  if (!data.images) return {};
  const auto& read = data.images->data;
  const int64_t images = std::max(read.test.size(), read.validation.size());
  return {images * 8 * (sizes.d + sizes.d / 2 + 5 * sizes.k), 0, 0};
}

}  // namespace

const StudyRow& image_study() {
  static const StudyRow row = {{{"truncation", Analysis::kTruncation},
                                {"exactness", Analysis::kExactness},
                                {"importance", Analysis::kImportance}},
                               study_on_images,
                               [](const LayerResult&) { return std::string(); },
                               cost_on_images};
  return row;
}

}  // namespace bilens
