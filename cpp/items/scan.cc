#include "items/scan.h"

#include <algorithm>

namespace recserve::items {

namespace {
/// Cells whose slots are asked of memory together.
constexpr uint64_t kCells = 32;
}  // namespace

Scan::Scan(ItemStore& store, const std::set<std::string>* columns)
    : store_(store), pin_(store.pin()), table_(store.index_.table()) {
  std::set<std::string> kept;
  for (int32_t i = 0; i < store_.layout_.raw_fields; ++i) kept.insert(store_.layout_.fields[i].name);
  if (columns == nullptr) columns = &kept;
  for (const std::string& name : *columns) {
    if (!kept.contains(name)) throw DataError("the store keeps no raw item column '" + name + "'");
  }
  selection_ = store_.selection(*columns, {});
}

std::pair<ColumnPtr, Batch> Scan::next(int64_t rows) {
  const std::vector<const uint8_t*> slots = next_slots(rows);
  if (slots.empty()) return {nullptr, Batch()};
  KeysBuilder keys(store_.text_keys());
  for (const uint8_t* slot : slots)
    keys.add(store_.key_cells_.bytes_of(slot + Layout::kKey, store_.text_keys()));
  return {keys.finish(), store_.transpose(slots, selection_, {}).raw};
}

std::vector<const uint8_t*> Scan::next_slots(int64_t rows) {
  std::vector<const uint8_t*> slots;
  while (at_ < table_.cells() && static_cast<int64_t>(slots.size()) < rows) {
    const uint64_t size = std::min(kCells, static_cast<uint64_t>(rows) - slots.size());
    const uint64_t to = std::min(at_ + size, table_.cells());
    uint32_t found[kCells];
    size_t count = 0;
    for (; at_ < to; ++at_) {
      const uint32_t row = table_.cell(at_).row.load(std::memory_order_acquire);
      if (row == 0 || row == Index::kDeleted) continue;
      found[count++] = row;
      __builtin_prefetch(store_.slots_.at(row));
    }
    for (size_t i = 0; i < count; ++i) {
      const uint32_t row = store_.version_at(found[i], pin_.epoch());
      if (row != 0) slots.push_back(store_.slots_.at(row));
    }
  }
  return slots;
}

}  // namespace recserve::items
