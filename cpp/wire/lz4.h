// The size of what a raw LZ4 block holds: the block itself does not say, and a caller must bound it before
// inflating. https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace recserve::wire {

/// Walks the sequences of the block without writing anything; nothing when it is malformed.
std::optional<int64_t> lz4_block_size(std::string_view block);

}  // namespace recserve::wire
