#include "wire/lz4.h"

namespace recserve::wire {

namespace {

/// A length of 15 goes on in further bytes until one is not 255. False when they run out.
bool read_length(std::string_view& rest, int64_t& length) {
  if (length != 15) return true;
  for (;;) {
    if (rest.empty()) return false;
    const auto more = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    length += more;
    if (more != 255) return true;
  }
}

}  // namespace

std::optional<int64_t> lz4_block_size(std::string_view block) {
  constexpr int64_t kShortestMatch = 4;
  int64_t size = 0;
  while (!block.empty()) {
    const auto token = static_cast<uint8_t>(block.front());
    block.remove_prefix(1);
    int64_t literals = token >> 4, match = token & 15;
    if (!read_length(block, literals) || literals > static_cast<int64_t>(block.size())) return {};
    block.remove_prefix(static_cast<size_t>(literals));
    size += literals;
    if (block.empty()) return size;  // the last sequence has no match
    if (block.size() < 2) return {};
    const int64_t offset = static_cast<uint8_t>(block[0]) | static_cast<uint8_t>(block[1]) << 8;
    block.remove_prefix(2);
    if (offset == 0 || offset > size || !read_length(block, match)) return {};
    size += match + kShortestMatch;
  }
  return {};
}

}  // namespace recserve::wire
