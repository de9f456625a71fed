#include "columns/batch.h"

#include <algorithm>

namespace recserve {

int64_t Batch::index_of(std::string_view name) const {
  auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                             [&](int32_t i, std::string_view wanted) { return columns_[i].first < wanted; });
  if (at == by_name_.end() || columns_[*at].first != name) return -1;
  return *at;
}

void Batch::add(std::string name, ColumnPtr column) {
  if (column->rows != rows_ && column->rows != 1) {
    throw DataError("column '" + name + "' has " + std::to_string(column->rows) + " rows, its batch has " +
                    std::to_string(rows_));
  }
  auto at =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](int32_t i, const std::string& wanted) { return columns_[i].first < wanted; });
  if (at != by_name_.end() && columns_[*at].first == name) {
    throw DataError("column '" + name + "' is in the batch already");
  }
  by_name_.insert(at, static_cast<int32_t>(columns_.size()));
  columns_.emplace_back(std::move(name), std::move(column));
}

const Column* Batch::find(std::string_view name) const {
  int64_t at = index_of(name);
  return at < 0 ? nullptr : columns_[at].second.get();
}

ColumnPtr Batch::share(std::string_view name) const {
  int64_t at = index_of(name);
  return at < 0 ? nullptr : columns_[at].second;
}

}  // namespace recserve
