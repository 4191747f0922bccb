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
          .field("unit_r2", &R::unit_r2, "R² of the lines az + b nearest to the units' activations f(z).")
          .field("degenerate_units", &R::degenerate_units,
                 "Units whose products the text does not determine: half the identity stands for f there.",
                 "units")
          .natural()
          .field("product_r2", &R::product_r2,
                 "R² of the bilinear units for the products f(z)y, on the text that they were fitted on; "
                 "decompositions of earlier versions had (az + b)y.")
          .omitted()
          .added_later()
          .field("output_r2", &R::output_r2,
                 "R² of the layer's output with these units, on `held_out_tokens`.")
          .omitted()
          .added_later()
          .field("line_output_r2", &R::line_output_r2, "The same with (az + b)y in each unit.")
          .omitted()
          .added_later();
  return table;
}

const RecordTable<SurrogateRecord>& SurrogateRecord::record() {
  using R = SurrogateRecord;
  static const auto table =
      RecordTable<R>()
          .field("kind", &R::kind,
                 "`half`: the bilinear part of the layer; `calibrated`: bilinear units fitted to its own.")
          .field("hidden_act", &R::hidden_act, "The gate that it stands for.")
          .field("meaning", &R::meaning, "The same in words.")
          .field("data", &R::data, "Settings of the text that the units were fitted on.")
          .omitted()
          .field("first_token", &R::first_token, "The first token that they were fitted on.")
          .natural()
          .omitted()
          .field("tokens", &R::tokens, "How many tokens they were fitted on.", "tokens")
          .natural()
          .omitted()
          .field("held_out_tokens", &R::held_out_tokens,
                 "How many tokens, the first of the text, `layers[].output_r2` is of.", "tokens")
          .natural()
          .omitted()
          .added_later()
          .field("layers", &R::layers, "How good the units are, one entry a layer.")
          .omitted();
  return table;
}

}  // namespace bilens
