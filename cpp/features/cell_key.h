// A cell as bytes: two cells have equal bytes exactly if they have the same type, shape and values.
#pragma once

#include <string>

#include "features/cells.h"

namespace recserve {

/// Appends cell `i`. Every missing cell is the same, whatever its type; what is appended tells where it ends,
/// so that the keys of several cells can stand one behind the other.
void append_key(const Cells& cells, int64_t i, std::string& key);

}  // namespace recserve
