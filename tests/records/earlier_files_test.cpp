// Files that version 0.1.0 wrote are read, with what they say.

#include <ATen/ATen.h>

#include <cmath>

#include "bilens/core/files.h"
#include "bilens/io/safetensors.h"
#include "bilens/records/conversion_account.h"
#include "bilens/records/corpus_record.h"
#include "bilens/records/decomposition.h"
#include "bilens/records/environment.h"
#include "bilens/records/image_explanation.h"
#include "bilens/records/image_record.h"
#include "bilens/records/metrics.h"
#include "bilens/records/prompt_explanation.h"
#include "bilens/records/token_record.h"
#include "catch.h"

namespace bilens::earlier_files_test {
namespace {

namespace fs = std::filesystem;

const fs::path kEarlier = "tests/records/earlier";

Json json_of(const fs::path& file) { return read_json(kEarlier / file, ExitCode::kBadInput); }

/// As a file holds it, null for what is not finite, with its keys sorted. An object within a file no longer
/// says what format it has.
std::string text_of(const Json& json) {
  auto sorted = nlohmann::json::parse(format_json(json));
  for (auto& value : sorted)
    if (value.is_object()) value.erase("format"), value.erase("format_version");
  return sorted.dump();
}

/// Reads a file and finds all that it says in the record.
template <class R>
R read_all(const fs::path& file) {
  auto record = read_record_file<R>(kEarlier / file);
  CHECK(text_of(record_with_format(record)) == text_of(json_of(file)));
  return record;
}

Decomposition read_all_layers(const std::string& folder) {
  read_all<DecompositionRecord>(folder + "/decomposition.json");
  return read_decomposition(kEarlier / folder);
}

double at_place(at::Tensor tensor, std::initializer_list<int64_t> place) {
  for (const int64_t index : place) tensor = tensor[index];
  return tensor.item<double>();
}

/// The largest entry of A − B.
double gap(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

}  // namespace

TEST_CASE("an earlier decomposition of a classifier is read with its eigenpairs") {
  const auto decomposition = read_all_layers("images");
  const auto& info = decomposition.info;
  CHECK(info.model == "runs/demo/model");
  CHECK(info.gate->name == "none");
  CHECK(info.image_shape == std::vector<int64_t>{4, 4});
  CHECK(info.doubt().empty());
  REQUIRE(decomposition.layers.size() == 1);
  const auto& layer = decomposition.layers[0];
  CHECK(layer.input_space == InputSpace::kInput);
  CHECK(layer.output_is == OutputIs::kLogits);
  CHECK(layer.center == Center::kMean);
  CHECK(layer.pairs.solver == EigenSolver::kDense);
  CHECK(layer.pairs.seconds.solve == 0.032005887);
  CHECK(layer.count() == 3);
  CHECK(at_place(layer.pairs.eigenvalues, {0, 0}) == Approx(-0.04302201));
  CHECK(at_place(layer.pairs.certified_bound, {1}) == Approx(0.00430501).epsilon(1e-5));
  CHECK(at_place(layer.constant, {2}) == Approx(0.08423408));
  const auto energy =
      layer.pairs.eigenvalues.square().cumsum(1) / layer.pairs.frobenius.square().unsqueeze(1);
  CHECK(gap(energy, layer.pairs.weight_energy) < 1e-6);
  const auto vectors = layer.pairs.eigenvectors.to(at::kDouble);
  CHECK(gap(at::matmul(vectors, vectors.transpose(1, 2)), at::eye(3, at::kDouble)) < 1e-6);
}

TEST_CASE("an earlier study of images is read, and none of tokens in its place") {
  const auto study = read_image_study(kEarlier / "images");
  REQUIRE(study);
  Json written = record_with_format(*study), earlier = json_of("images/study.json");
  CHECK(earlier["format"] == "bilens-study");
  earlier["format"] = written["format"];
  if (!earlier.contains("reconstruction")) written.erase("reconstruction");
  CHECK(text_of(written) == text_of(earlier));
  CHECK(study->evaluation->accuracy == Approx(20.0 / 30));
  CHECK(study->truncation.at(0).chosen->k == 0);
  CHECK(study->images.sizes() == at::IntArrayRef({30, 4, 4}));
  CHECK(at_place(study->images, {0, 0, 1}) == 217);
  const auto& importance = study->importance.at(0);
  CHECK(at_place(importance.data_r2, {2, 1}) == 0.9984900356334726);
  CHECK(at_place(importance.positive_examples, {0, 0, 1}) == 12);
  CHECK(at_place(importance.negative_projections, {0, 0, 0}) == Approx(-0.05139471).epsilon(1e-6));
  CHECK_FALSE(read_token_study(kEarlier / "images"));
  CHECK_FALSE(read_corpus_study(kEarlier / "images"));
}

TEST_CASE("earlier joint factors are read with their figures and what they rebuild") {
  const auto decomposition = read_all_layers("joint");
  const auto& layer = decomposition.layers.at(0);
  CHECK_FALSE(layer.has_pairs());
  CHECK(layer.method() == "joint");
  CHECK(layer.factors->seconds == 0.112006313);
  CHECK(layer.factors->words.starts_with("2 shared vectors, 90.2%"));
  const auto& joint = std::get<JointFactors>(layer.factors->found);
  CHECK(joint.converged);
  CHECK(joint.objective == Approx(joint.values.square().sum().item<double>()).epsilon(1e-6));
  CHECK(joint.diagonal_energy_kept == Approx(joint.objective / joint.squared_norm));
  CHECK(at_place(joint.diagonal_energy, {1}) == Approx(joint.diagonal_energy_kept));
  CHECK(at_place(joint.measure.participation, {1}) == Approx(5.92440199));
  CHECK(joint.history.size(0) == 13);
  const auto study = read_image_study(kEarlier / "joint");
  REQUIRE(study);
  CHECK(study->reconstruction.at(0).relative_error == 0.07099731967985773);
  CHECK(at_place(study->reconstruction[0].data_r2, {1}) == 0.9481838478248004);
  CHECK_FALSE(study->images.defined());
}

TEST_CASE("an earlier decomposition of a converted language model is read") {
  const auto decomposition = read_all_layers("tokens");
  const auto& info = decomposition.info;
  REQUIRE(info.converted);
  CHECK(info.converted->teacher == "runs/teacher/model");
  CHECK(info.converted->test->divergence == 0.0025256360985423786);
  CHECK(info.norm->before == "post_attention_layernorm");
  CHECK(info.fold_norm == true);
  const auto& layer = decomposition.layers.at(0);
  CHECK(layer.directions_kind == DirectionKind::kUnembedding);
  CHECK(layer.direction_names == std::vector<std::string>{"<0x04>", "<0x1B>"});
  CHECK(at_place(layer.pairs.eigenvalues, {1, 0}) == Approx(-0.05244118));
  CHECK(at_place(layer.pairs.effective_rank, {0}) == info.layers[0].pairs->effective_rank->at(0));
}

TEST_CASE("an earlier study of tokens is read, and none of images in its place") {
  const auto study = read_token_study(kEarlier / "tokens");
  REQUIRE(study);
  CHECK(text_of(TokenStudy::record().write(*study)) == text_of(json_of("tokens/study.json")["tokens"]));
  CHECK(study->names.size() == 300);
  CHECK(study->embedding_null.size(0) == 2 * study->random_directions);
  const auto& layer = study->layers.at(0);
  CHECK(layer.embedding_is_own);
  CHECK(at_place(layer.eigenvectors.embedding.ids, {0, 0, 0, 1}) == 33);
  CHECK(at_place(layer.eigenvectors.unembedding.cosines, {0, 0, 0, 0}) == Approx(0.87270745));
  CHECK(at_place(layer.random.embedding_quantiles, {0, 0}) == 0.825);
  CHECK(at_place(layer.permuted_eigenvalues, {1}) == Approx(0.0360471).epsilon(1e-5));
  CHECK(at_place(layer.interaction_values, {0, 2}) == Approx(0.06093319));
  CHECK_FALSE(read_image_study(kEarlier / "tokens"));
}

/// Without what intervals did not have yet.
Json without_flips(Json json) {
  for (auto& item : json)
    if (item.is_structured()) item = without_flips(item);
  if (json.is_object()) json.erase("flip_p"), json.erase("flips");
  return json;
}

TEST_CASE("an earlier study of a text is read") {
  const auto study = read_corpus_study(kEarlier / "tokens");
  REQUIRE(study);
  CHECK(text_of(without_flips(record_with_format(*study))) == text_of(json_of("tokens/corpus.json")));
  CHECK(study->losses->layers.at(1).change.at(2).mean == 0.012929434417396463);
  CHECK(at_place(study->ids, {1}) == 269);
  const auto& layer = study->layers.at(0);
  CHECK(at_place(layer.context_places, {0, 0, 0, 0}) == 90);
  CHECK(gap(layer.contribution_mean.sum(1), layer.part_mean.select(1, 0)) > 0.01);  // two of eight eigenpairs
  for (size_t k = 0; k < 3; ++k)
    CHECK(layer.r2.mean(0)[static_cast<int64_t>(k)].item<double>() == Approx(study->summaries[0].r2[k]));
  CHECK((layer.counts.sum(2) == study->sample.size(0)).all().item<bool>());
}

TEST_CASE("the bilinear half of an earlier gated model is read with its errors on a text") {
  const auto decomposition = read_all_layers("half");
  CHECK(decomposition.info.surrogate->kind == SurrogateKind::kHalf);
  CHECK(decomposition.info.gate->name == "silu");
  CHECK_FALSE(decomposition.layers.at(1).linear.defined());
  const auto study = read_corpus_study(kEarlier / "half");
  REQUIRE(study);
  CHECK(text_of(record_with_format(*study)) == text_of(json_of("half/corpus.json")));
  CHECK(study->summaries.at(0).surrogate->bound == 0.7597013767411316);
  CHECK(std::isnan(study->summaries[0].correlation[0]));
  for (const auto& layer : study->layers)
    CHECK((layer.sample_error <= layer.sample_bound).all().item<bool>());
}

TEST_CASE("what an earlier conversion wrote is read") {
  const auto account = read_all<ConversionAccount>("finetune/finetune.json");
  CHECK(account.calibration->layers.at(1).error == 0.01754874699148899);
  CHECK(account.parameters == 5888);
  CHECK(account.training_flops == 30556160.0);
  CHECK(account.samples->finished == "the cat d e e");
  const auto conversion = read_all<ConversionRecord>("finetune/model/conversion.json");
  CHECK(conversion.teacher_sha256 == account.teacher_sha256);
  CHECK(conversion.test->layer_r2 == account.test->layer_r2);
  CHECK(read_all<Environment>("finetune/env.json").libtorch == "2.14.1");
}

TEST_CASE("the metrics of an earlier run are read line by line") {
  const fs::path file = kEarlier / "finetune/metrics.jsonl";
  const auto text = read_text(file, 1 << 20, ExitCode::kBadInput);
  std::vector<MetricsLine> lines;
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto line = text.substr(begin, end - begin);
    lines.push_back(read_metrics_line(line, file.string()));
    CHECK(write_metrics_line(lines.back()).dump() == line);
  }
  REQUIRE(lines.size() == 10);
  CHECK(step_of(lines[7]) == 8);
  CHECK(std::get<StepMetrics>(lines[4]).learning_rate == 0.0005);
  CHECK(std::get<EvaluationMetrics>(lines[8]).perplexity == 19.826653156019802);
  CHECK(std::get<SampleMetrics>(lines[9]).text == "the cat d e e");
  CHECK(split_of(lines[9]) == "sample");
}

TEST_CASE("an earlier explanation of an image is read and its parts add up") {
  const auto record = read_all<ImageExplanationRecord>("image_explanation/explanation.json");
  CHECK(record.prediction == 2);
  CHECK(record.label == 1);
  const SafetensorsFile file(kEarlier / "image_explanation/explanation.safetensors");
  Dimensions sizes;
  ExplainedImage explained;
  ExplainedImage::tensors().read(file, "", explained, sizes);
  CHECK(at_place(explained.image, {0, 1}) == 40);
  const auto x = explained.image.to(at::kDouble).flatten() / 255;
  for (const auto& of_class : record.classes) {
    double sum = of_class.direct + of_class.linear + of_class.other_terms;
    for (size_t i = 0; i < of_class.terms.size(); ++i) {
      const auto& term = of_class.terms[i];
      sum += term.contribution;
      CHECK(term.contribution == Approx(term.eigenvalue * term.projection * term.projection));
      ExplanationVector found;
      const auto name = ExplanationVector::name(of_class.number, static_cast<int64_t>(i));
      ExplanationVector::tensors().read(file, name, found, sizes);
      CHECK(found.vector.to(at::kDouble).dot(x).item<double>() == Approx(term.projection).margin(1e-6));
    }
    CHECK(sum == Approx(of_class.sum).margin(1e-12));
  }
}

TEST_CASE("an earlier explanation of a prompt is read and its parts add up") {
  const auto record = read_all<PromptExplanationRecord>("prompt_explanation/explanation.json");
  CHECK(record.surrogate->hidden_act == "silu");
  CHECK(record.minus == "<0x0E>");
  CHECK(record.tokens.size() == 8);
  double sum = record.embedding, eigenvectors = 0, listed = record.other_terms;
  for (const auto& layer : record.layers) {
    sum += layer.attention + layer.eigenvectors + layer.linear + layer.remainder;
    eigenvectors += layer.eigenvectors;
  }
  CHECK(sum == Approx(record.sum));
  const SafetensorsFile file(kEarlier / "prompt_explanation/explanation.safetensors");
  Dimensions sizes;
  for (size_t i = 0; i < record.terms.size(); ++i) {
    listed += record.terms[i].contribution;
    PromptVector found;
    PromptVector::tensors().read(file, PromptVector::name(static_cast<int64_t>(i)), found, sizes);
    CHECK(found.vector.norm().item<double>() == Approx(1));
  }
  CHECK(listed == Approx(eigenvectors));
}

}  // namespace bilens::earlier_files_test
