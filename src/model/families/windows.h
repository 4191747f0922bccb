#pragma once

#include <functional>

#include "bilens/model/decoder_config.h"

namespace bilens::family {

/// Keys of families whose layers may have windows or not: use_sliding_window, sliding_window, layer_types.
const FieldTable<DecoderConfig>& window_keys();

/// Gives all layers the one window, where there is one: a Family's `complete`.
void window_of_all_layers(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems);

/// Keys of families whose layers always have windows: those of window_keys() without use_sliding_window.
const FieldTable<DecoderConfig>& layer_window_keys();

/// Takes it that some layers have windows, whose length is a problem where it is not given, unless
/// layer_types is, which may say that none has one.
void require_window(DecoderConfig& config, const std::string& where, std::vector<Problem>& problems);

/// Windows of the layers that layer_types names; where that is not given, of those that slide by default.
void set_windows(DecoderConfig& config, const std::function<bool(int64_t layer)>& slides_by_default,
                 const std::string& where, std::vector<Problem>& problems);

}  // namespace bilens::family
