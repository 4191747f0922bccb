#include "bilens/records/factors.h"

#include <utility>

namespace bilens {

namespace {

template <size_t... I>
std::vector<FactorsDescription> describe_all(std::index_sequence<I...>) {
  using Found = decltype(Factors::found);
  return {{std::variant_alternative_t<I, Found>::kMethod,
           std::variant_alternative_t<I, Found>::record().fields(),
           std::variant_alternative_t<I, Found>::tensors().fields()}...};
}

template <class F>
Factors read_found(const Json& figures, const std::string& where, const WeightFile& file,
                   Dimensions dimensions) {
  F found = read_record<F>(figures, where);
  F::tensors().read(file, "", found, dimensions);
  return {std::move(found), "", 0};
}

using Reader = Factors (*)(const Json&, const std::string&, const WeightFile&, Dimensions);

template <size_t... I>
std::vector<std::pair<std::string, Reader>> all_readers(std::index_sequence<I...>) {
  using Found = decltype(Factors::found);
  return {
      {std::variant_alternative_t<I, Found>::kMethod, &read_found<std::variant_alternative_t<I, Found>>}...};
}

constexpr auto kAll = std::make_index_sequence<std::variant_size_v<decltype(Factors::found)>>();

const std::vector<std::pair<std::string, Reader>>& readers() {
  static const auto all = all_readers(kAll);
  return all;
}

}  // namespace

std::string Factors::method() const {
  return std::visit([](const auto& f) { return std::string(f.kMethod); }, found);
}

Json Factors::figures() const {
  return std::visit([](const auto& f) { return f.record().write(f); }, found);
}

NamedTensors Factors::tensors(const Dimensions& dimensions) const {
  return std::visit([&](const auto& f) { return f.tensors().write(f, "", dimensions); }, found);
}

bool finds_factors(const std::string& method, const std::string& where) {
  if (method == kEigen) return false;
  std::vector<std::string> names = {kEigen};
  for (const auto& [name, reader] : readers()) {
    if (name == method) return true;
    names.push_back(name);
  }
  throw Error(ExitCode::kBadInput,
              {where, "a method of this version: " + join(names), "\"" + method + "\"",
               "It was written by another bilens: use that version, or decompose again."});
}

Factors factors_of(const std::string& method, const Json& figures, const std::string& where,
                   const WeightFile& file, const Dimensions& dimensions) {
  finds_factors(method, where);
  for (const auto& [name, reader] : readers())
    if (name == method) return reader(figures, where, file, dimensions);
  throw std::logic_error("a method without a reader: " + method);
}

std::vector<FactorsDescription> describe_factors() { return describe_all(kAll); }

}  // namespace bilens
