#include "bilens/run/printed_results.h"

#include "intervention_result.h"

namespace bilens {

std::vector<RecordFile> printed_results() {
  return {{"result of an intervention", std::nullopt, InterventionResult::record().fields(), {}}};
}

}  // namespace bilens
