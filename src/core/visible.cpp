#include "bilens/core/visible.h"

#include "bilens/core/text.h"

namespace bilens {

std::string visible(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
    control ? shown += format("\\u%04x", byte) : shown += c;
  }
  return shown;
}

}  // namespace bilens
