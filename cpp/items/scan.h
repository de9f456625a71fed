// All rows of a store as of one moment, batch by batch.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "items/store.h"

namespace recserve::items {

/// Walks the index under one pin: no lock, whatever is written meanwhile. Used by one thread. As long as it
/// lives, what is replaced is kept: give it up when done.
class Scan {
 public:
  /// `columns`: raw columns to read, null: all of them. Throws DataError for a column that is not kept.
  Scan(ItemStore& store, const std::set<std::string>* columns);

  /// At most `rows` more rows: their keys and their raw columns; null keys behind the last one.
  std::pair<ColumnPtr, Batch> next(int64_t rows);
  /// The same as slots, which stay as long as the scan.
  std::vector<const uint8_t*> next_slots(int64_t rows);

 private:
  const ItemStore& store_;
  Epochs::Pin pin_;
  const Index::Table& table_;  // as of the pin, which keeps it
  Selection selection_;
  uint64_t at_ = 0;
};

}  // namespace recserve::items
