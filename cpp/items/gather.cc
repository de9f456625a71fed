// The reading side of the store (store.h), and what there is to read.
#include <algorithm>

#include "items/cell_codec.h"
#include "items/store.h"

namespace recserve::items {

namespace {

/// Keys that are looked up side by side, so that their cache misses overlap.
constexpr int64_t kLookUps = 32;

void prefetch_lines(const uint8_t* from, const uint8_t* to) {
  constexpr uintptr_t kLine = 64;
  for (from -= reinterpret_cast<uintptr_t>(from) % kLine; from < to; from += kLine) __builtin_prefetch(from);
}

/// A row is known when the request itself says something about it.
void mark_brought(const Batch& overrides, std::vector<uint8_t>& known) {
  for (const auto& [name, column] : overrides.columns()) {
    for (size_t row = 0; row < known.size(); ++row) {
      if (!known[row]) known[row] = !column->missing(column->row_for(static_cast<int64_t>(row)));
    }
  }
}

}  // namespace

// --- reading -----------------------------------------------------------------------------------------------

uint32_t ItemStore::look_up(const Index::Table& table, const Keys& keys, int64_t i) const {
  uint64_t at = keys.hash(i);
  while (const uint32_t row = table.next(keys.hash(i), at)) {
    if (has_key(row, keys, i)) return row;
  }
  return 0;
}

uint32_t ItemStore::version_at(uint32_t row, uint64_t epoch) const {
  while (row != 0) {
    const uint8_t* slot = slots_.at(row);
    const auto born = load<uint64_t>(slot + Layout::kBorn);
    if (Layout::epoch(born) <= epoch) return Layout::tombstone(born) ? 0 : row;
    row = load<uint32_t>(slot + Layout::kPrevious);
  }
  return 0;
}

/// Row numbers as of the pin, 0 for what is not there. Each step asks memory for what the next one reads, and
/// for these bytes of each slot.
void ItemStore::look_up_range(const Epochs::Pin& pin, const Keys& keys, int64_t first, int64_t end,
                              std::span<const Span> spans, std::span<uint32_t> rows) const {
  const Index::Table& table = index_.table();
  for (int64_t from = first; from < end; from += kLookUps) {
    const int64_t to = std::min(from + kLookUps, end);
    for (int64_t i = from; i < to; ++i) table.prefetch(keys.hash(i));
    for (int64_t i = from; i < to; ++i) {
      uint64_t at = keys.hash(i);
      rows[i] = keys.none(i) ? 0 : table.next(keys.hash(i), at);
      __builtin_prefetch(slots_.at(rows[i]));
    }
    for (int64_t i = from; i < to; ++i) {
      const uint8_t* slot = slots_.at(rows[i]);
      key_cells_.prefetch(slot + Layout::kKey, keys);
      for (const Span& span : spans) prefetch_lines(slot + span.from, slot + span.to);
    }
    for (int64_t i = from; i < to; ++i) {
      if (rows[i] == 0) continue;
      if (!has_key(rows[i], keys, i)) rows[i] = look_up(table, keys, i);
      rows[i] = version_at(rows[i], pin.epoch());
    }
  }
}

Gathered ItemStore::gather(const Epochs::Pin& pin, const Keys& keys, const Selection& selection,
                           const Batch& overrides) const {
  return gather(find(pin, keys, selection), selection, overrides);
}

Found ItemStore::find(const Epochs::Pin& pin, const Keys& keys, const Selection& selection) const {
  Found found;
  found.rows.resize(keys.size());
  look_up_range(pin, keys, 0, keys.size(), selection.spans, found.rows);
  found.born.reserve(found.rows.size());
  int64_t misses = 0;
  for (const uint32_t row : found.rows) {
    found.born.push_back(load<uint64_t>(slots_.at(row) + Layout::kBorn));
    misses += row == 0;
  }
  lookups_.fetch_add(keys.size(), std::memory_order_relaxed);
  if (misses > 0) misses_.fetch_add(misses, std::memory_order_relaxed);
  return found;
}

Found Found::at(std::span<const int64_t> positions) const {
  Found some;
  for (const int64_t position : positions) {
    some.rows.push_back(rows.at(position));
    some.born.push_back(born.at(position));
  }
  return some;
}

Gathered ItemStore::gather(const Found& found, const Selection& selection, const Batch& overrides) const {
  std::vector<const uint8_t*> slots(found.rows.size());
  std::vector<uint8_t> known(found.rows.size());
  bool misses = false;
  for (size_t i = 0; i < slots.size(); ++i) {
    slots[i] = slots_.at(found.rows[i]);
    known[i] = found.rows[i] != 0;
    misses |= found.rows[i] == 0;
  }
  Gathered gathered = transpose(slots, selection, overrides);
  gathered.known = std::move(known);
  if (misses) mark_brought(overrides, gathered.known);
  return gathered;
}

Gathered ItemStore::gather_empty(int64_t rows, const Selection& selection, const Batch& overrides) const {
  const std::vector<const uint8_t*> slots(rows, slots_.at(0));
  Gathered gathered = transpose(slots, selection, overrides);
  gathered.known.assign(rows, 0);
  mark_brought(overrides, gathered.known);
  return gathered;
}

Gathered ItemStore::transpose(std::span<const uint8_t* const> slots, const Selection& selection,
                              const Batch& overrides) const {
  const auto rows = static_cast<int64_t>(slots.size());
  Gathered gathered{Batch(rows), Batch(rows), {}};
  SlotReader reader(layout_, slots);
  const auto read = [&](const std::vector<int32_t>& fields, Batch& batch) {
    std::vector<ColumnPtr> columns = reader.read(fields, heaps_);
    for (size_t i = 0; i < fields.size(); ++i)
      batch.add(layout_.fields[fields[i]].name, std::move(columns[i]));
  };
  read(selection.raw, gathered.raw);
  for (const std::string& name : selection.sent) gathered.raw.add(name, overrides.share(name));
  read(selection.finished, gathered.finished);
  return gathered;
}

// --- what to gather ----------------------------------------------------------------------------------------

Selection ItemStore::selection(std::span<const std::string> sent) const {
  for (const std::string& name : sent) {
    if (std::ranges::find(spec_.dropped, name, &ColumnTypes::value_type::first) == spec_.dropped.end())
      continue;
    throw RequestError("item column '" + name +
                       "' cannot be sent: the store keeps only the features that were made of it "
                       "(keep_raw_items: false); set keep_raw_items to true, or leave the column out");
  }
  std::set<std::string> raw = spec_.always_raw;
  std::set<std::string> finished;
  for (size_t i = layout_.raw_fields; i < layout_.fields.size(); ++i) {
    const std::string& name = layout_.fields[i].name;
    auto reads = spec_.reads.find(name);
    const bool hidden = reads != spec_.reads.end() &&
                        std::ranges::any_of(sent, [&](const auto& s) { return reads->second.contains(s); });
    if (hidden) {
      raw.insert(reads->second.begin(), reads->second.end());
    } else {
      finished.insert(name);
    }
  }
  std::vector<std::string> wanted;
  for (const std::string& name : sent) {
    if (raw.erase(name) > 0) wanted.push_back(name);
  }
  Selection selected = selection(raw, finished);
  selected.sent = std::move(wanted);
  return selected;
}

Selection ItemStore::selection(const std::set<std::string>& raw,
                               const std::set<std::string>& finished) const {
  Selection selected;
  for (int32_t i = 0; i < static_cast<int32_t>(layout_.fields.size()); ++i) {
    const Field& field = layout_.fields[i];
    const bool is_raw = i < layout_.raw_fields;
    if (!(is_raw ? raw : finished).contains(field.name)) continue;
    (is_raw ? selected.raw : selected.finished).push_back(i);
  }
  selected.spans = layout_.spans(selected.raw, selected.finished);
  return selected;
}

}  // namespace recserve::items
