// Columns into slots and back.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "items/fields.h"
#include "items/heap.h"
#include "items/slab.h"

namespace recserve::items {

/// Writes rows [from, from + slots.size()) of `column` into the cells of `field`; the slots are zeroed
/// before. What is longer than a cell goes to `heap` (null for storage that needs none; its mutex is held by
/// the caller). Throws DataError when the column is not of the field's type or breaks its limits.
void write_cells(const Field& field, const Layout& layout, Heap* heap, const Column& column, int64_t from,
                 std::span<uint8_t* const> slots);

/// The rows of one gather, seen column by column.
class SlotReader {
 public:
  /// The slots must stay published (pinned) until the last `read`.
  SlotReader(const Layout& layout, std::span<const uint8_t* const> slots);

  /// The cells of these fields of the layout as columns of slots.size() rows; `heaps` by field.
  std::vector<ColumnPtr> read(std::span<const int32_t> fields, std::span<const std::unique_ptr<Heap>> heaps);

 private:
  /// A number of each slot on its way into a column.
  struct Copy {
    int32_t offset;
    void* to;
  };

  bool all(int32_t bit) const { return (all_[bit >> 6] >> (bit & 63)) & 1; }
  bool has(int64_t row, int32_t bit) const {
    return (slots_[row][layout_.bits + (bit >> 3)] >> (bit & 7)) & 1;
  }
  int64_t rows() const { return static_cast<int64_t>(slots_.size()); }

  Array<uint8_t> present(const Field& field);
  const Array<int32_t>& counting();
  void find(const Field& field, const Heap* heap);

  void read(const Field& field, const Heap* heap, Column& column);
  void read_number(const Field& field, Column& column);
  void copy_numbers();
  void read_vectors(const Field& field, Column& column);
  void read_number_lists(const Field& field, const Heap* heap, Column& column);
  void read_strings(const Heap* heap, const Field& field, Column& column);
  void read_ragged(const Field& field, const Heap* heap, Column& column);

  const Layout& layout_;
  std::span<const uint8_t* const> slots_;
  Slab slab_;
  std::vector<uint64_t> all_;                // bits that are set in every slot
  std::array<std::vector<Copy>, 8> copies_;  // by width in the column and in the cell
  Array<int32_t> counting_;             // 0 1 2 ... rows: the offsets of lists of one, shared by all of them
  std::vector<const uint8_t*> cursor_;  // scratch: where each row's bytes are in a heap
};

}  // namespace recserve::items
