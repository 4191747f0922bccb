#include "studies.h"

#include <algorithm>

namespace bilens {

const std::vector<const StudyRow*>& studies() {
  static const std::vector<const StudyRow*> all = {&image_study(), &token_study(), &corpus_study()};
  return all;
}

bool is_wanted(const StudyRow& study, const std::vector<Analysis>& analyses) {
  return std::any_of(study.analyses.begin(), study.analyses.end(), [&](const auto& own) {
    return std::find(analyses.begin(), analyses.end(), own.second) != analyses.end();
  });
}

}  // namespace bilens
