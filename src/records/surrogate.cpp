#include "bilens/records/surrogate.h"

namespace bilens {

std::vector<std::pair<std::string, SurrogateKind>> record_names(SurrogateKind) {
  return {{"half", SurrogateKind::kHalf}, {"calibrated", SurrogateKind::kCalibrated}};
}

const RecordTable<SurrogateLayer>& SurrogateLayer::record() {
  using R = SurrogateLayer;
  static const auto table =
      RecordTable<R>()
          .field("layer", &R::layer, "Number of the layer.")
          .natural()
          .field("unit_r2", &R::unit_r2, "Mean over units of the line's R² for the unit's activation.")
          .field("degenerate_units", &R::degenerate_units,
                 "Units whose activation hardly varies: they have no line of their own.", "units")
          .natural();
  return table;
}

const RecordTable<SurrogateRecord>& SurrogateRecord::record() {
  using R = SurrogateRecord;
  static const auto table =
      RecordTable<R>()
          .field("kind", &R::kind,
                 "`half`: the bilinear part of the layer; `calibrated`: lines through its activations.")
          .field("hidden_act", &R::hidden_act, "The gate that it stands for.")
          .field("meaning", &R::meaning, "The same in words.")
          .field("data", &R::data, "Settings of the text that the lines were fitted on.")
          .omitted()
          .field("first_token", &R::first_token, "The first token that they were fitted on.")
          .natural()
          .omitted()
          .field("tokens", &R::tokens, "How many tokens they were fitted on.", "tokens")
          .natural()
          .omitted()
          .field("layers", &R::layers, "How good the lines are, one entry a layer.")
          .omitted();
  return table;
}

}  // namespace bilens
