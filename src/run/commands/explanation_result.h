#pragma once

#include <optional>
#include <string>

#include "bilens/records/record_table.h"

namespace bilens {

/// What `bilens explain --json` prints: an explanation, and where its page was written.
template <class Explanation>
struct Explained {
  std::optional<Explanation> explanation;
  std::optional<std::string> page;

  static const RecordTable<Explained>& record() {
    static const auto table = RecordTable<Explained>()
                                  .part(&Explained::explanation)
                                  .field("page", &Explained::page, "The page, with `--out`.")
                                  .omitted();
    return table;
  }
};

}  // namespace bilens
