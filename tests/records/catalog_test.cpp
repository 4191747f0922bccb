#include "bilens/records/catalog.h"

#include <functional>
#include <map>
#include <set>

#include "catch.h"

namespace bilens::catalog_test {
namespace {

/// Calls `visit` with each key and with those inside it.
void each_key(const std::vector<RecordField>& keys, const std::function<void(const RecordField&)>& visit) {
  for (const auto& key : keys) {
    visit(key);
    each_key(key.fields, visit);
  }
}

const RecordFile& named(const std::vector<RecordFile>& files, const std::string& name) {
  for (const auto& file : files)
    if (file.name == name) return file;
  FAIL("no " << name);
  return files.front();
}

}  // namespace

TEST_CASE("each file is in the catalog once, with keys or tensors that say what they mean") {
  std::set<std::string> names;
  for (const auto& file : record_files()) {
    INFO(file.name);
    CHECK(names.insert(file.name).second);
    CHECK_FALSE((file.keys.empty() && file.tensors.empty()));
    std::set<std::string> tensors;
    each_key(file.keys, [](const RecordField& key) {
      INFO(key.name);
      CHECK_FALSE(key.name.empty());
      CHECK_FALSE(key.type.empty());
      CHECK(key.meaning.ends_with("."));
    });
    for (const auto& tensor : file.tensors) {
      INFO(tensor.name);
      CHECK(tensors.insert(tensor.name).second);
      CHECK_FALSE(tensor.meaning.empty());
    }
  }
}

TEST_CASE("the catalog as JSON has the keys inside a key, and leaves out what a file does not have") {
  const auto files = record_files();
  const Json all = describe_files(files).at("files");
  REQUIRE(all.size() == files.size());
  const Json text = describe_files({named(files, "conversion.json")}).at("files").front();
  CHECK(text.at("format") == "bilens-conversion");
  CHECK(text.at("format_version") == 1);
  CHECK_FALSE(text.contains("tensors"));
  const Json& seen = text.at("keys").at(2);
  CHECK(seen.at("name") == "validation");
  CHECK(seen.at("type") == "object or null");
  CHECK(seen.at("keys").front() == Json({{"name", "tokens"},
                                         {"type", "integer"},
                                         {"unit", "tokens"},
                                         {"meaning", "How many tokens were predicted."},
                                         {"added_later", false}}));
  const Json step = describe_files({named(files, "metrics.jsonl of a step")}).at("files").front();
  CHECK_FALSE(step.contains("format"));
  const Json losses = describe_files({named(files, "test.safetensors")}).at("files").front();
  CHECK_FALSE(losses.contains("keys"));
  CHECK(losses.at("tensors").front() == Json({{"name", "tokens"},
                                              {"shape", "n"},
                                              {"dtype", "int64"},
                                              {"meaning", "how many tokens of each document were predicted"},
                                              {"optional", false}}));
}

TEST_CASE("a key that earlier files may lack is marked") {
  const auto described = describe_files({named(record_files(), "trainer.json")});
  std::map<std::string, bool> added_later;
  for (const auto& key : described.at("files").front().at("keys"))
    added_later[key.at("name")] = key.at("added_later");
  CHECK_FALSE(added_later.at("step"));
  CHECK(added_later.at("skipped_steps"));
  CHECK(added_later.at("last_loss"));
  CHECK_FALSE(added_later.at("loss_spikes"));  // it may be null, and need not be there for that reason
}

TEST_CASE("tensors of a layer carry its name in a file of several layers") {
  const auto files = record_files();
  const auto& study = named(files, "study.safetensors of images");
  CHECK(study.tensors.front().name == "images");
  CHECK(study.tensors.back().name == "layer_N.projections.negative");
  CHECK(named(files, "explanation.safetensors of a prompt").tensors.front().name == "term_I");
}

}  // namespace bilens::catalog_test
