#pragma once

#include "image_pool.h"
#include "sources.h"

namespace bilens::report {

/// What the attack.json says that lies in one of the source's folders, or in attack/ there, and is of the
/// same weights; else null. @throws Error(kBadInput) when it is damaged
Json attack_data(const Source& source, ImagePool& images);

}  // namespace bilens::report
