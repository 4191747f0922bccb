#pragma once

#include <ATen/core/Tensor.h>

namespace bilens {

/// Gains of the norms in front of an MLP and behind it that were folded into its layer; undefined where none
/// was.
struct MlpGains {
  at::Tensor before;  // [d_in]
  at::Tensor behind;  // [d_out]
};

}  // namespace bilens
