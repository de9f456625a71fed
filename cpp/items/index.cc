#include "items/index.h"

#include <algorithm>
#include <new>

namespace recserve::items {

Index::Table::Table(uint64_t cells)
    : mask_(cells - 1), cells_(static_cast<Cell*>(allocate_pages(cells * sizeof(Cell)))) {
  for (uint64_t at = 0; at < cells; ++at) new (&cells_[at]) Cell{};
}

void Index::Table::insert(uint32_t hash, uint32_t row) {
  uint64_t at = hash;
  while (cell(at).row.load(std::memory_order_relaxed) != 0) ++at;
  cell(at).tag.store(hash, std::memory_order_relaxed);
  cell(at).row.store(row, std::memory_order_release);
}

Index::Cell* Index::Table::find(uint32_t hash, uint32_t row) {
  for (uint64_t at = hash;; ++at) {
    const uint32_t found = cell(at).row.load(std::memory_order_relaxed);
    if (found == row) return &cell(at);
    if (found == 0) return nullptr;
  }
}

void Index::insert(uint32_t hash, uint32_t row) {
  owned_->insert(hash, row);
  ++used_;
}

std::unique_ptr<Index::Table> Index::reserve(int64_t more) {
  // At most three cells of four are taken; deleted cells are left behind in the old table.
  auto fits = [](int64_t keys, uint64_t cells) { return static_cast<uint64_t>(keys) * 4 <= cells * 3; };
  if (fits(used_ + more, owned_->cells())) return nullptr;
  uint64_t cells = 1024;
  while (!fits(keys() + more, cells)) cells *= 2;
  auto bigger = std::make_unique<Table>(cells);
  for (uint64_t at = 0; at < owned_->cells(); ++at) {
    const uint32_t row = owned_->cell(at).row.load(std::memory_order_relaxed);
    if (row != 0 && row != kDeleted) {
      bigger->insert(owned_->cell(at).tag.load(std::memory_order_relaxed), row);
    }
  }
  ++generation_;
  used_ = keys();
  deleted_ = 0;
  std::swap(owned_, bigger);
  table_.store(owned_.get(), std::memory_order_release);
  return bigger;
}

}  // namespace recserve::items
