// The key of a row, in its slot.
//
//   int64 key    | 8 bytes |
//   short text   | length 1 | bytes, zeros behind them: 15 |      no second look at memory to compare it
//   long text    | 255 | 3 unused | handle 4 | 8 unused |
#pragma once

#include <cstdint>
#include <string_view>

#include "items/heap.h"
#include "items/keys.h"

namespace recserve::items {

class KeyCells {
 public:
  static constexpr int32_t bytes(bool text) { return text ? 16 : 8; }

  bool matches(const uint8_t* cell, const Keys& keys, int64_t i) const;
  /// The key's text, or the int64 as it lies in memory: equal keys have equal bytes (`Keys::bytes`).
  std::string_view bytes_of(const uint8_t* cell, bool text) const;
  /// Asks memory for what `matches` will read beside the cell.
  void prefetch(const uint8_t* cell, const Keys& keys) const;
  /// Writes key i into `cell`, zeroed before. `known`: a cell that has this key already, or null; a long text
  /// is stored only when there is none.
  void write(const Keys& keys, int64_t i, const uint8_t* known, uint8_t* cell);
  int64_t arena_bytes() const { return texts_.arena_bytes(); }

 private:
  static constexpr size_t kInline = 15;
  static constexpr uint8_t kLong = 255;

  bool matches_long(const uint8_t* cell, std::string_view key) const;

  Heap texts_{"the key", false};
};

}  // namespace recserve::items
