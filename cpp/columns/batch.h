// Columns by name, in a stable order.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "columns/column.h"

namespace recserve {

/// Every column has `rows` rows, or one row that stands for all of them (a user value beside n items).
class Batch {
 public:
  using Entry = std::pair<std::string, ColumnPtr>;

  Batch() = default;
  explicit Batch(int64_t rows) : rows_(rows) {}

  int64_t rows() const { return rows_; }
  const std::vector<Entry>& columns() const { return columns_; }
  /// Throws DataError when the name is taken or the column has neither `rows` rows nor one.
  void add(std::string name, ColumnPtr column);
  /// The column, or null when there is none of that name. Cost: a hash and a binary search among hashes.
  const Column* find(std::string_view name) const;
  ColumnPtr share(std::string_view name) const;

 private:
  int64_t index_of(std::string_view name) const;  // -1: none

  int64_t rows_ = 0;
  std::vector<Entry> columns_;
  std::vector<std::pair<size_t, int32_t>> by_hash_;  // hashes of names, sorted, and places in columns_
};

}  // namespace recserve
