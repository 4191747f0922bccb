#pragma once

#include "bilens/core/json.h"
#include "bilens/records/token_record.h"

namespace bilens::report {

// A card is {"embedding", "unembedding": [side of largest cosines, side of the most negative]}, each side a
// list of [token, cosine, quantile].

/// {"random_directions", "space", "layers": [{"layer", "words", "random": card}]}
Json tokens_summary(const TokenStudy& study, int64_t nearest);

/// {"permuted": {"eigenvalue", "card"}, "interactions": [[token, token, value, bound]]}
Json tokens_of_direction(const TokenStudy& study, const TokenLayer& layer, int64_t direction,
                         int64_t nearest);

/// The card of an eigenvector.
Json tokens_of_pair(const TokenStudy& study, const TokenLayer& layer, int64_t direction, int64_t index,
                    int64_t nearest);

}  // namespace bilens::report
