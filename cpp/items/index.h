// From keys to row numbers: open addressing, eight bytes a cell.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "items/pages.h"

namespace recserve::items {

/// One writer, any number of readers, no lock: a cell's row number is repointed by one release store. The
/// index knows hashes and row numbers only; whether a row has the wanted key is for the caller to say.
///
///   cell    | tag: 32 bits of the hash | row number: 0 = empty, kDeleted = was here |
class Index {
 public:
  static constexpr uint32_t kDeleted = UINT32_MAX;

  struct Cell {
    std::atomic<uint32_t> tag;
    std::atomic<uint32_t> row;
  };

  /// A table of fixed size. A reader takes `Index::table()` once per look-up of many keys.
  class Table {
   public:
    explicit Table(uint64_t cells);
    /// Touches the cell where a look-up of `hash` will start.
    void prefetch(uint32_t hash) const { __builtin_prefetch(&cells_[hash & mask_]); }
    /// The next row that may have the hash, from cell `at` on; 0 when there is none. `at` moves behind it.
    uint32_t next(uint32_t hash, uint64_t& at) const {
      for (;; ++at) {
        const Cell& cell = cells_[at & mask_];
        const uint32_t row = cell.row.load(std::memory_order_acquire);
        if (row == 0) return 0;
        if (row != kDeleted && cell.tag.load(std::memory_order_relaxed) == hash) {
          ++at;
          return row;
        }
      }
    }
    Cell& cell(uint64_t at) { return cells_[at & mask_]; }
    const Cell& cell(uint64_t at) const { return cells_[at & mask_]; }
    /// The cell that points at `row`, or null.
    Cell* find(uint32_t hash, uint32_t row);
    uint64_t cells() const { return mask_ + 1; }

   private:
    friend class Index;
    void insert(uint32_t hash, uint32_t row);

    uint64_t mask_;
    Pages<Cell> cells_;
  };

  Index() : owned_(std::make_unique<Table>(1024)), table_(owned_.get()) {}

  const Table& table() const { return *table_.load(std::memory_order_acquire); }

  // For the writer alone.

  Table& writable() { return *owned_; }
  /// A hash that has no cell yet. `reserve` first.
  void insert(uint32_t hash, uint32_t row);
  void removed() { ++deleted_; }
  /// Makes room for `more` keys. When that took a bigger table, returns the old one: readers may still walk
  /// it.
  std::unique_ptr<Table> reserve(int64_t more);
  int64_t keys() const { return used_ - deleted_; }
  /// Changes when `reserve` lays all cells anew.
  int64_t generation() const { return generation_; }
  int64_t bytes() const { return static_cast<int64_t>(owned_->cells() * sizeof(Cell)); }

 private:
  std::unique_ptr<Table> owned_;
  std::atomic<Table*> table_;
  int64_t used_ = 0;  // cells that are not empty
  int64_t deleted_ = 0;
  int64_t generation_ = 0;
};

}  // namespace recserve::items
