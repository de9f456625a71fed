// The key of a row, in its slot.
//
//   int64 key    | 8 bytes |
//   short text   | length 1 | bytes, zeros behind them: 15 |      no second look at memory to compare it
//   long text    | 255 | 3 unused | handle 4 | 8 unused |
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "items/heap.h"
#include "items/keys.h"

namespace recserve::items {

class KeyCells {
 public:
  static constexpr int32_t bytes(bool text) { return text ? 16 : 8; }

  bool matches(const uint8_t* cell, const Keys& keys, int64_t i) const;
  /// The key's text, or the int64 as it lies in memory: equal keys have equal bytes (`Keys::bytes`).
  std::string_view bytes_of(const uint8_t* cell, bool text) const;
  /// As `Keys` hashes it.
  uint32_t hash(const uint8_t* cell, bool text) const;
  /// Asks memory for what `matches` will read beside the cell.
  void prefetch(const uint8_t* cell, const Keys& keys) const;
  /// Writes key i into `cell`, zeroed before. `known`: a cell that has this key already, or null; a long text
  /// is stored only when there is none, or when it must leave its place (`Heap::leave`).
  void write(const Keys& keys, int64_t i, const uint8_t* known, uint8_t* cell);
  /// Whether a text's cell holds what it says, in the slot or in the heap: asked of cells that come from a
  /// file.
  bool sound(const uint8_t* cell) const;

  /// Where a text's cell keeps its handle; null when the text is short.
  static uint8_t* handle_cell(uint8_t* cell) { return cell[0] == kLong ? cell + 4 : nullptr; }

  Heap& texts() { return *texts_; }
  const Heap& texts() const { return *texts_; }
  void adopt(std::unique_ptr<Heap> texts) { texts_ = std::move(texts); }

 private:
  static constexpr size_t kInline = 15;
  static constexpr uint8_t kLong = 255;

  bool copy_known(const uint8_t* known, uint8_t* cell) const;
  bool matches_long(const uint8_t* cell, std::string_view key) const;

  std::unique_ptr<Heap> texts_ = std::make_unique<Heap>("the key", false);
};

}  // namespace recserve::items
