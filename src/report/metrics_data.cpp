#include "metrics_data.h"

#include <cmath>
#include <vector>

#include "bilens/core/files.h"
#include "bilens/records/metrics.h"
#include "numbers.h"

namespace bilens::report {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

struct TrainPoint {
  double step, epoch, loss, accuracy;
};

struct Metrics {
  std::vector<TrainPoint> train;
  Json evaluations = Json::array(), samples = Json::array();
};

Json evaluation(const EvaluationMetrics& metrics) {
  const auto count = [](const std::optional<int64_t>& of) { return of ? Json(*of) : Json(); };
  return {{"step", metrics.step},
          {"epoch", short_number(metrics.epoch)},
          {"split", metrics.split},
          {"examples", count(metrics.examples)},
          {"tokens", count(metrics.tokens)},
          {"loss", short_number(metrics.loss)},
          {"accuracy", short_number(metrics.accuracy.value_or(NAN))}};
}

void read_line(const std::string& line, const std::string& where, Metrics& metrics) {
  if (line.find_first_not_of(" \r\t") == std::string::npos) return;
  const auto read = read_metrics_line(line, where);
  if (const auto* step = std::get_if<StepMetrics>(&read)) {
    metrics.train.push_back(
        {static_cast<double>(step->step), step->epoch, step->loss, step->accuracy.value_or(NAN)});
  } else if (const auto* seen = std::get_if<EvaluationMetrics>(&read)) {
    metrics.evaluations.push_back(evaluation(*seen));
  } else if (const auto* sample = std::get_if<SampleMetrics>(&read)) {
    metrics.samples.push_back({{"step", sample->step}, {"text", sample->text}});
  }
}

Metrics read_metrics(const std::filesystem::path& file) {
  const std::string text = read_text(file, kMaxBytes, ExitCode::kBadInput);
  Metrics metrics;
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    read_line(text.substr(begin, end - begin), file.string() + ", line " + std::to_string(number), metrics);
    begin = end + 1;
  }
  return metrics;
}

/// The mean over points [begin, end) of one of their members; of those that are finite.
double mean(const std::vector<TrainPoint>& points, size_t begin, size_t end, double TrainPoint::*member) {
  double sum = 0.0;
  size_t count = 0;
  for (size_t i = begin; i < end; ++i) {
    if (!std::isfinite(points[i].*member)) continue;
    sum += points[i].*member;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : NAN;
}

}  // namespace

Json metrics_data(const std::filesystem::path& file, int64_t max_points) {
  const Metrics metrics = read_metrics(file);
  const size_t total = metrics.train.size();
  const size_t group = std::max<size_t>(1, (total + max_points - 1) / max_points);
  Json train = {{"step", Json::array()},
                {"epoch", Json::array()},
                {"loss", Json::array()},
                {"accuracy", Json::array()}};
  for (size_t begin = 0; begin < total; begin += group) {
    const size_t end = std::min(total, begin + group);
    const auto add = [&](const char* key, double TrainPoint::*member) {
      train[key].push_back(short_number(mean(metrics.train, begin, end, member)));
    };
    add("step", &TrainPoint::step);
    add("epoch", &TrainPoint::epoch);
    add("loss", &TrainPoint::loss);
    add("accuracy", &TrainPoint::accuracy);
  }
  return {{"train", train},
          {"steps_per_point", group},
          {"evaluations", metrics.evaluations},
          {"samples", metrics.samples}};
}

}  // namespace bilens::report
