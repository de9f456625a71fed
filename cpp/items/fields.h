// Which column lies where in a row of the store.
//
//   slot   | born 8 | previous 4 | key 16/8 | bits | cells of every request | other cells | pad |
//
// Bits say which cells are present and which lists are kept as their one value. Cells that every request
// reads stand together, so that a gather touches few cache lines; in each part the widest come first.
//
// `born` is the epoch that published the row, `previous` the row that it replaced: a reader pinned before
// `born` reads on there. A tombstone, bit 63 of `born`, has a key and no cells. A slot holds offsets only,
// never a pointer, and no bit of it changes once published.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "columns/column.h"

namespace recserve::items {

/// What a column holds, as text: "int64", "float32[16]" (16 in every row), "list<string>",
/// "map<string,float32>", "list<list<int64>>".
struct ColumnType {
  Shape shape = Shape::Scalar;
  Type type = Type::String;
  Type key_type = Type::String;  // maps only
  int32_t width = 1;
  bool operator==(const ColumnType&) const = default;
};

/// Throws DataError for text that is no column type.
ColumnType parse_type(std::string_view text);
std::string name_of(const ColumnType& type);
ColumnType column_type(const Column& column);

/// How a cell is kept.
enum class Storage : uint8_t {
  Inline,     // numbers of a fixed count, in the slot
  OneOrHeap,  // a list of numbers: its number when it has one, else a handle
  Heap,       // anything else: a handle
};

struct Field {
  std::string name;
  ColumnType type;
  Storage storage = Storage::Heap;
  int32_t value_bytes = 0;  // of a stored number; integers with a known limit take less than their type
  uint64_t limit = 0;       // integers are below it; 0: any
  int32_t offset = 0;       // of the cell in the slot
  int32_t cell_bytes = 0;
  int32_t present_bit = 0;  // counted from `Layout::bits`
  int32_t one_bit = -1;     // OneOrHeap: set when the cell is the number itself
};

using ColumnTypes = std::vector<std::pair<std::string, ColumnType>>;

/// Bytes [from, to) of a slot.
struct Span {
  int32_t from, to;
};

/// Offsets of everything in a slot. Raw columns come first, then finished ones, each in the order given.
struct Layout {
  static constexpr int32_t kBorn = 0, kPrevious = 8, kKey = 12;
  static constexpr uint64_t kTombstone = uint64_t{1} << 63;
  static constexpr uint64_t epoch(uint64_t born) { return born & ~kTombstone; }
  static constexpr bool tombstone(uint64_t born) { return (born & kTombstone) != 0; }

  /// `limits`: integer columns whose values are all >= 0 and below. `always_raw`: raw columns that every
  /// request reads, as it does the finished ones.
  Layout(int32_t key_bytes, const ColumnTypes& raw, const ColumnTypes& finished,
         const std::map<std::string, int64_t>& limits, const std::set<std::string>& always_raw);

  /// Where the header, the bits and the cells of these fields lie in a slot.
  std::vector<Span> spans(std::span<const int32_t> some, std::span<const int32_t> more) const;

  std::vector<Field> fields;
  int32_t raw_fields = 0;  // fields[0, raw_fields) are raw
  int32_t bits = 0;        // offset of the bits
  int32_t bit_words = 0;   // 64-bit words to read to see them all
  int32_t slot_bytes = 0;
};

}  // namespace recserve::items
