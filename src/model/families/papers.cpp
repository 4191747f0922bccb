#include "families.h"
#include "paper_config.h"
#include "paper_transformer.h"

namespace bilens::family {

const Family& papers() {
  static const Family family = {
      .name = "the papers' language models",
      .norms = MlpNorms{MlpNorms::Kind::kRms, "n2.norm", false, /*optional=*/true, "", ""},
      .forms = {{"mlp.w.weight", "", "mlp.p.weight", "mlp."},
                {"mlp.w.weight", "", "mlp.o.weight", "mlp."}},  // of earlier versions
      .told_by_names = true,
      .gate_of_config = [](const StoredModel& model) -> std::optional<std::string> {
        if (!has_own_keys(model.json("config.json"))) return std::nullopt;
        return gate_name(read_paper_config<PaperMlp>(model)->gate);
      },
      .read_decoder = [](const StoredModel& model) -> std::optional<ForeignDecoder> {
        if (!is_paper_transformer(model.weights())) return std::nullopt;
        return read_paper_transformer(model);
      }};
  return family;
}

}  // namespace bilens::family
