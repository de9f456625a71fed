#include "columns/batch.h"

#include <algorithm>
#include <functional>

namespace recserve {

int64_t Batch::index_of(std::string_view name) const {
  const size_t hash = std::hash<std::string_view>()(name);
  auto at = std::lower_bound(by_hash_.begin(), by_hash_.end(), std::pair{hash, int32_t{0}});
  for (; at != by_hash_.end() && at->first == hash; ++at) {
    if (columns_[at->second].first == name) return at->second;
  }
  return -1;
}

void Batch::add(std::string name, ColumnPtr column) {
  if (column->rows != rows_ && column->rows != 1) {
    throw DataError("column '" + name + "' has " + std::to_string(column->rows) + " rows, its batch has " +
                    std::to_string(rows_));
  }
  if (index_of(name) >= 0) throw DataError("column '" + name + "' is in the batch already");
  const std::pair entry{std::hash<std::string_view>()(name), static_cast<int32_t>(columns_.size())};
  by_hash_.insert(std::lower_bound(by_hash_.begin(), by_hash_.end(), entry), entry);
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
