// The row store: every item's features in memory, read by many threads while one writes.
//
//   ids ──index──▶ row numbers ──slots──▶ rows ──transposed──▶ columns
//
// A write never changes a row that readers may see. It fills a free slot with the complete new row and then
// repoints the item's index cell at it; the old slot is used again when every request that started earlier
// has ended (epochs.h). A pinned reader sees the rows as of its epoch: all of an upsert or nothing of it, and
// for candidates and sequences of one request the same version. A delete is such a write, too: of a
// tombstone, which goes from the index when nobody can see the row before it any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "columns/batch.h"
#include "columns/row_finisher.h"
#include "items/cells.h"
#include "items/epochs.h"
#include "items/fields.h"
#include "items/image.h"
#include "items/in_flight.h"
#include "items/index.h"
#include "items/key_cells.h"
#include "items/keys.h"
#include "items/slots.h"

namespace recserve::items {

/// What a store keeps and how.
struct StoreSpec {
  bool text_keys = true;  // keys are bytes ("007" is not "7"), or else int64 (ids are parsed)
  ColumnTypes raw = {};
  ColumnTypes dropped = {};  // raw columns that only the finisher sees: they are not kept
  std::shared_ptr<const RowFinisher> finisher = nullptr;    // null: raw columns only
  std::map<std::string, std::set<std::string>> reads = {};  // finished column -> raw columns that it reads
  std::set<std::string> always_raw = {};                    // gathered raw for every request
  std::map<std::string, int64_t> limits = {};               // integer columns: 0 <= value < limit
};

/// Columns to gather: field numbers, and the columns taken from what the request sent.
struct Selection {
  std::vector<int32_t> raw;
  std::vector<int32_t> finished;
  std::vector<std::string> sent;
  std::vector<Span> spans;  // of a slot that are read
};

/// One row per id that was asked for.
struct Gathered {
  Batch raw;
  Batch finished;
  std::vector<uint8_t> known;  // 1: in the store, or the request brought something for it
};

/// Which versions of which rows ids stand for, as of a pin, which lives as long as this is used.
struct Found {
  std::vector<uint32_t> rows;  // 0: the empty row, of what is unknown
  std::vector<uint64_t> born;  // with the row's number it names a version, once and for all

  /// Those at some positions.
  Found at(std::span<const int64_t> positions) const;
};

struct StoreFigures {
  int64_t rows = 0;   // items
  int64_t slots = 0;  // rows of memory, free ones included
  int64_t free_slots = 0;
  int64_t slot_bytes = 0;  // of one slot
  int64_t rows_bytes = 0, arena_bytes = 0, dictionary_bytes = 0, index_bytes = 0;
  int64_t garbage_bytes = 0;  // of the arenas, what the last compaction found and left
  int64_t lookups = 0, misses = 0;
};

/// Memory of one column.
struct ColumnBytes {
  std::string name, type;
  bool finished = false;
  int64_t slot_bytes = 0;  // of its cells in all slots, free ones included
  int64_t heap_bytes = 0;  // its texts, lists and maps, and the table that shares them
};

struct Published {
  int64_t inserted = 0;
  int64_t replaced = 0;
  int64_t repeated = 0;  // of the replaced: rows that were published after the epoch asked about
};

/// What compaction found in the arena of one column, and left.
struct CompactedColumn {
  std::string name;
  int64_t before_bytes = 0, live_bytes = 0, after_bytes = 0;
};

struct Compaction {
  std::vector<CompactedColumn> columns;  // those that have one, the keys' texts last
  int64_t rows_moved = 0;                // slots that were rewritten, once for each column
};

class Refresh;

class ItemStore {
 public:
  /// Rows that are written but not yet visible; publish them, or destroy it and nothing has happened.
  class Prepared {
   public:
    Prepared(Prepared&& other) noexcept;
    Prepared& operator=(Prepared&&) = delete;
    ~Prepared();

   private:
    friend class ItemStore;
    Prepared(ItemStore& store, ColumnPtr ids);
    ItemStore* store_;
    ColumnPtr ids_;  // what keys_ borrows its texts from
    Keys keys_;
    std::vector<uint32_t> rows_;
    InFlight::Ticket ticket_;  // given back when the rows are visible, or gone
  };

  /// Finishes the empty row, whose columns tell the types of all finished ones. Throws DataError for names
  /// that are taken twice.
  explicit ItemStore(StoreSpec spec);
  ~ItemStore();

  // Writing: `prepare` from any thread; the rest from one at a time, they wait for one another.

  /// Finishes and writes complete rows. `keys` and the columns of `raw` have as many rows; a raw column that
  /// is absent is missing in all of them. Throws DataError for a null or empty key and for other types.
  Prepared prepare(const Batch& raw, ColumnPtr keys);
  /// Makes the rows visible at once; of equal keys the last wins. `refresh`: on whose behalf, it may drop
  /// some (refresh.h).
  Published publish(Prepared prepared, uint64_t since = UINT64_MAX, Refresh* refresh = nullptr);
  /// Returns how many of the keys were there. Readers that are pinned go on seeing them.
  int64_t remove(const Column& keys);

  // Reading: lock-free, from any thread, with a pin that lives as long as the call.

  Epochs::Pin pin() { return epochs_.pin(); }
  uint64_t epoch() const { return epochs_.current(); }
  /// One row per key, in their order; unknown keys give the empty row. Cost: benchmarks/items/gather.py.
  Gathered gather(const Epochs::Pin& pin, const Keys& keys, const Selection& selection,
                  const Batch& overrides = {}) const;
  /// `gather` in two steps: what is found can be read more than once. `selection`: what will be read first.
  Found find(const Epochs::Pin& pin, const Keys& keys, const Selection& selection) const;
  Gathered gather(const Found& found, const Selection& selection, const Batch& overrides = {}) const;
  /// `rows` times the empty row: items that nothing is known about but what the request brings.
  Gathered gather_empty(int64_t rows, const Selection& selection, const Batch& overrides = {}) const;

  /// What a request needs that brings columns of its own, `sent`: the raw columns that are always gathered,
  /// the finished columns that read none of `sent`, and all that the other finished columns read.
  Selection selection(std::span<const std::string> sent) const;
  /// The fields of these names; names that the store does not have are left out.
  Selection selection(const std::set<std::string>& raw, const std::set<std::string>& finished) const;

  // Images (image.h): one at a time, beside readers and writers, which never wait for it.

  /// Writes all rows as of one moment, and `meta` (JSON, the caller's own), to `path`; returns the bytes
  /// written. Throws SourceError when the system refuses; the file that was there is as it was then.
  uint64_t save(const std::string& path, const std::string& meta);
  /// Becomes the store that was saved. To be called on a store that is new. Throws DataError when the image
  /// keeps other columns, or was changed.
  void restore(const Image& image);
  /// Gives memory of texts and lists back that no row refers to any more, where that is more than `threshold`
  /// of a column's arena; 1 looks only (compaction.h). What is in the way, rows that are prepared and not
  /// published or a pin, is waited for up to half a minute; then the column stays as it is.
  Compaction compact(double threshold);

  const Layout& layout() const { return layout_; }
  bool text_keys() const { return spec_.text_keys; }
  StoreFigures figures() const;
  std::vector<ColumnBytes> column_bytes() const;

 private:
  friend class Compactor;
  friend class Refresh;
  friend class Scan;

  void write_rows(const Batch& raw, const Batch& finished, std::span<uint8_t* const> slots);
  void write_keys(const Keys& keys, std::span<uint8_t* const> slots);
  Batch declared(const Batch& raw) const;
  ColumnTypes finish_empty_row();

  bool has_key(uint32_t row, const Keys& keys, int64_t i) const {
    return key_cells_.matches(slots_.at(row) + Layout::kKey, keys, i);
  }
  uint32_t look_up(const Index::Table& table, const Keys& keys, int64_t i) const;
  void look_up_range(const Epochs::Pin& pin, const Keys& keys, int64_t first, int64_t end,
                     std::span<const Span> spans, std::span<uint32_t> rows) const;
  uint32_t version_at(uint32_t row, uint64_t epoch) const;
  Gathered transpose(std::span<const uint8_t* const> slots, const Selection& selection,
                     const Batch& overrides) const;

  struct RetiredBlock {
    uint64_t epoch;
    Heap* heap;
    Heap::Block block;
  };
  struct Tombstone {
    uint64_t epoch;
    uint32_t hash, row;
  };

  // With the mutex held.
  Index::Cell* cell_of(const Keys& keys, int64_t i);
  uint32_t live_row(const Keys& keys, int64_t i);
  bool is_tombstone(uint32_t row) const;
  uint32_t repoint(const Keys& keys, int64_t i, uint32_t row, uint64_t born);
  void reclaim();
  void bury(const Tombstone& tombstone);

  Directory directory() const;
  std::vector<Heap*> all_heaps();

  std::unique_ptr<Mapping> image_;  // what the store was restored from: slots and heaps point into it
  StoreSpec spec_;
  Batch empty_finished_;
  Layout layout_;
  std::unordered_map<std::string, int32_t> field_by_name_;
  std::vector<std::unique_ptr<Heap>> heaps_;  // by field; null where cells need none
  KeyCells key_cells_;
  Slots slots_;  // slot 0 is the empty row
  Index index_;
  Epochs epochs_;

  InFlight in_flight_;        // rows that are prepared and not published
  std::mutex maintenance_;    // of what reads or rewrites every row
  mutable std::mutex mutex_;  // of what writers share: free slots, the index, what is retired
  int64_t rows_ = 0;          // items, tombstones not counted
  std::deque<std::pair<uint64_t, uint32_t>> retired_;
  std::deque<Tombstone> tombstones_;  // that the index still points at
  std::vector<Refresh*> refreshes_;   // that are open
  std::deque<std::pair<uint64_t, std::unique_ptr<Index::Table>>> retired_tables_;
  std::deque<RetiredBlock> retired_blocks_;
  std::atomic<int64_t> garbage_bytes_{0};
  mutable std::atomic<int64_t> lookups_{0}, misses_{0};
};

}  // namespace recserve::items
