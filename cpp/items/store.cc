#include "items/store.h"

#include <algorithm>
#include <utility>

#include "items/cell_codec.h"

namespace recserve::items {

namespace {

/// Rows that are written column by column while their slots are in the cache.
constexpr int64_t kBlockRows = 256;
/// Keys that are looked up side by side, so that their cache misses overlap.
constexpr int64_t kLookUps = 32;
constexpr int32_t kLine = 64;

template <class T>
void store_at(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

ColumnPtr missing_row(const ColumnType& type) {
  auto column = std::make_shared<Column>(*missing_column(1, type.type, type.shape));
  column->width = type.width;
  if (type.width > 1) {
    column->values.size = type.width;
    column->values.data = Array<uint8_t>(std::vector<uint8_t>(type.width * width_of(type.type), 0));
  }
  if (type.shape == Shape::Map && type.key_type != Type::String)
    column->keys = Values{type.key_type, 0, {}, {}};
  return column;
}

void check_type(const Field& field, const Column& column) {
  const ColumnType type = column_type(column);
  if (type == field.type) return;
  const bool nulls =
      type.shape == Shape::Nested && field.type.shape == Shape::List && type.type == field.type.type;
  throw DataError("item column '" + field.name + "' holds " + name_of(type) + "; the store was made for " +
                  name_of(field.type) +
                  (nulls ? " (numbers with nulls between them come as lists of lists: drop the nulls)" : ""));
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

// --- made once ---------------------------------------------------------------------------------------------

ItemStore::ItemStore(StoreSpec spec)
    : spec_(std::move(spec)),
      layout_(KeyCells::bytes(spec_.text_keys), spec_.raw, finish_empty_row(), spec_.limits,
              spec_.always_raw),
      slots_(layout_.slot_bytes) {
  for (size_t i = 0; i < layout_.fields.size(); ++i) {
    const Field& field = layout_.fields[i];
    const bool added = field_by_name_.emplace(field.name, static_cast<int32_t>(i)).second;
    if (!added) throw DataError("item column '" + field.name + "' is declared twice");
    const bool heap = field.storage == Storage::Heap || field.storage == Storage::OneOrHeap;
    heaps_.push_back(heap ? std::make_unique<Heap>(field.name) : nullptr);
  }
  uint8_t* empty = slots_.at(slots_.allocate());
  write_rows(declared(Batch(1)), empty_finished_, {&empty, 1});
}

ItemStore::~ItemStore() = default;

ColumnTypes ItemStore::finish_empty_row() {
  ColumnTypes types;
  if (spec_.finisher == nullptr) return types;
  empty_finished_ = spec_.finisher->finish(declared(Batch(1)));
  for (const auto& [name, column] : empty_finished_.columns()) types.emplace_back(name, column_type(*column));
  return types;
}

/// The columns that were declared and no others; one missing row stands for an absent one.
Batch ItemStore::declared(const Batch& raw) const {
  Batch batch(raw.rows());
  for (const auto& [name, type] : spec_.raw) {
    ColumnPtr column = raw.share(name);
    batch.add(name, column != nullptr ? std::move(column) : missing_row(type));
  }
  return batch;
}

// --- writing -----------------------------------------------------------------------------------------------

ItemStore::Prepared::Prepared(ItemStore& store, ColumnPtr ids)
    : store_(&store), ids_(std::move(ids)), keys_(store.spec_.text_keys, *ids_) {}

ItemStore::Prepared::Prepared(Prepared&& other) noexcept
    : store_(other.store_),
      ids_(std::move(other.ids_)),
      keys_(std::move(other.keys_)),
      rows_(std::exchange(other.rows_, {})) {}

ItemStore::Prepared::~Prepared() {
  if (rows_.empty()) return;
  std::lock_guard lock(store_->mutex_);
  for (uint32_t row : rows_) store_->slots_.release(row);
}

ItemStore::Prepared ItemStore::prepare(const Batch& raw, ColumnPtr ids) {
  const Batch declared_raw = declared(raw);
  const Batch finished = spec_.finisher == nullptr ? Batch(raw.rows()) : spec_.finisher->finish(declared_raw);
  Prepared prepared(*this, std::move(ids));
  const Keys& keys = prepared.keys_;
  if (keys.size() != raw.rows()) {
    throw DataError(std::to_string(keys.size()) + " keys for " + std::to_string(raw.rows()) + " item rows");
  }
  for (int64_t i = 0; i < keys.size(); ++i) {
    if (keys.none(i))
      throw DataError("item row " + std::to_string(i) + " has no key: null, empty or no integer");
  }
  std::vector<uint8_t*> slots;
  {
    std::lock_guard lock(mutex_);
    reclaim();
    for (int64_t i = 0; i < keys.size(); ++i) prepared.rows_.push_back(slots_.allocate());
  }
  for (uint32_t row : prepared.rows_) slots.push_back(slots_.at(row));
  write_keys(keys, slots);
  write_rows(declared_raw, finished, slots);
  return prepared;
}

void ItemStore::write_keys(const Keys& keys, std::span<uint8_t* const> slots) {
  // Items that are there already keep their key's bytes.
  const Epochs::Pin pin = epochs_.pin();
  std::vector<uint32_t> rows(keys.size());
  look_up_all(pin, keys, Layout::kKey, rows);
  for (int64_t i = 0; i < keys.size(); ++i) {
    const uint8_t* known = rows[i] == 0 ? nullptr : slots_.at(rows[i]) + Layout::kKey;
    key_cells_.write(keys, i, known, slots[i] + Layout::kKey);
  }
}

void ItemStore::write_rows(const Batch& raw, const Batch& finished, std::span<uint8_t* const> slots) {
  std::vector<const Column*> columns;
  for (const Field& field : layout_.fields) {
    const Column* column =
        (columns.size() < static_cast<size_t>(layout_.raw_fields) ? raw : finished).find(field.name);
    if (column == nullptr) throw DataError("finished item column '" + field.name + "' is not in every batch");
    check_type(field, *column);
    columns.push_back(column);
  }
  const auto rows = static_cast<int64_t>(slots.size());
  for (int64_t from = 0; from < rows; from += kBlockRows) {
    const auto block = slots.subspan(from, std::min(kBlockRows, rows - from));
    for (size_t i = 0; i < columns.size(); ++i) {
      std::unique_lock<std::mutex> lock;
      if (heaps_[i] != nullptr) lock = std::unique_lock(heaps_[i]->mutex());
      write_cells(layout_.fields[i], layout_, heaps_[i].get(), *columns[i], from, block);
    }
  }
}

Published ItemStore::publish(Prepared prepared, uint64_t since) {
  std::lock_guard lock(mutex_);
  Published published;
  const uint64_t epoch = epochs_.current() + 1;
  const Keys& keys = prepared.keys_;
  if (auto replaced = index_.reserve(keys.size())) retired_tables_.emplace_back(epoch, std::move(replaced));
  for (int64_t i = 0; i < keys.size(); ++i) {
    const uint32_t row = prepared.rows_[i];
    uint8_t* slot = slots_.at(row);
    store_at(slot + Layout::kBorn, epoch);
    Index::Cell* cell = cell_of(keys, i);
    if (cell == nullptr) {
      index_.insert(keys.hash(i), row);
      ++published.inserted;
      continue;
    }
    const uint32_t old = cell->row.load(std::memory_order_relaxed);
    store_at(slot + Layout::kPrevious, old);
    cell->row.store(row, std::memory_order_release);
    retired_.emplace_back(epoch, old);
    ++published.replaced;
    published.repeated += load<uint64_t>(slots_.at(old) + Layout::kBorn) > since ? 1 : 0;
  }
  prepared.rows_.clear();
  epochs_.advance();
  reclaim();
  return published;
}

int64_t ItemStore::remove(const Column& ids) {
  const Keys keys(spec_.text_keys, ids);
  std::lock_guard lock(mutex_);
  const uint64_t epoch = epochs_.current() + 1;
  int64_t removed = 0;
  for (int64_t i = 0; i < keys.size(); ++i) {
    Index::Cell* cell = keys.none(i) ? nullptr : cell_of(keys, i);
    if (cell == nullptr) continue;
    retired_.emplace_back(epoch, cell->row.load(std::memory_order_relaxed));
    cell->row.store(Index::kDeleted, std::memory_order_release);
    index_.removed();
    ++removed;
  }
  epochs_.advance();
  reclaim();
  return removed;
}

Index::Cell* ItemStore::cell_of(const Keys& keys, int64_t i) {
  Index::Table& table = index_.writable();
  uint64_t at = keys.hash(i);
  while (const uint32_t row = table.next(keys.hash(i), at)) {
    if (has_key(row, keys, i)) return &table.cell(at - 1);
  }
  return nullptr;
}

void ItemStore::reclaim() {
  const uint64_t oldest = epochs_.oldest();
  for (; !retired_.empty() && retired_.front().first <= oldest; retired_.pop_front()) {
    slots_.release(retired_.front().second);
  }
  while (!retired_tables_.empty() && retired_tables_.front().first <= oldest) retired_tables_.pop_front();
}

// --- reading -----------------------------------------------------------------------------------------------

uint32_t ItemStore::look_up(const Index::Table& table, const Keys& keys, int64_t i) const {
  uint64_t at = keys.hash(i);
  while (const uint32_t row = table.next(keys.hash(i), at)) {
    if (has_key(row, keys, i)) return row;
  }
  return 0;
}

uint32_t ItemStore::version_at(uint32_t row, uint64_t epoch) const {
  while (row != 0 && load<uint64_t>(slots_.at(row) + Layout::kBorn) > epoch) {
    row = load<uint32_t>(slots_.at(row) + Layout::kPrevious);
  }
  return row;
}

/// Row numbers as of the pin, 0 for what is not there. Each step asks memory for what the next one reads, and
/// for `reach` bytes of each slot.
void ItemStore::look_up_all(const Epochs::Pin& pin, const Keys& keys, int32_t reach,
                            std::span<uint32_t> rows) const {
  const Index::Table& table = index_.table();
  for (int64_t from = 0; from < keys.size(); from += kLookUps) {
    const int64_t to = std::min(from + kLookUps, keys.size());
    for (int64_t i = from; i < to; ++i) table.prefetch(keys.hash(i));
    for (int64_t i = from; i < to; ++i) {
      uint64_t at = keys.hash(i);
      rows[i] = keys.none(i) ? 0 : table.next(keys.hash(i), at);
      __builtin_prefetch(slots_.at(rows[i]));
    }
    for (int64_t i = from; i < to; ++i) {
      const uint8_t* slot = slots_.at(rows[i]);
      key_cells_.prefetch(slot + Layout::kKey, keys);
      for (int32_t line = kLine; line < reach + kLine; line += kLine) __builtin_prefetch(slot + line);
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
  std::vector<uint32_t> rows(keys.size());
  look_up_all(pin, keys, selection.reach, rows);
  std::vector<const uint8_t*> slots(rows.size());
  std::vector<uint8_t> known(rows.size());
  int64_t misses = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    slots[i] = slots_.at(rows[i]);
    known[i] = rows[i] != 0;
    misses += rows[i] == 0;
  }
  lookups_.fetch_add(keys.size(), std::memory_order_relaxed);
  if (misses > 0) misses_.fetch_add(misses, std::memory_order_relaxed);
  Gathered gathered = transpose(slots, selection, overrides);
  gathered.known = std::move(known);
  if (misses > 0) mark_brought(overrides, gathered.known);
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
  for (int32_t i : selection.raw) {
    gathered.raw.add(layout_.fields[i].name, reader.read(layout_.fields[i], heaps_[i].get()));
  }
  for (const std::string& name : selection.sent) gathered.raw.add(name, overrides.share(name));
  for (int32_t i : selection.finished) {
    gathered.finished.add(layout_.fields[i].name, reader.read(layout_.fields[i], heaps_[i].get()));
  }
  return gathered;
}

// --- what to gather ----------------------------------------------------------------------------------------

Selection ItemStore::selection(std::span<const std::string> sent) const {
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
    selected.reach = std::max(selected.reach, field.offset + field.cell_bytes);
  }
  return selected;
}

StoreFigures ItemStore::figures() const {
  std::lock_guard lock(mutex_);
  StoreFigures figures;
  figures.rows = index_.keys();
  figures.slots = slots_.allocated();
  figures.free_slots = slots_.free();
  figures.slot_bytes = layout_.slot_bytes;
  figures.rows_bytes = slots_.bytes();
  figures.index_bytes = index_.bytes() + key_cells_.texts().arena_bytes();
  for (const auto& heap : heaps_) {
    if (heap == nullptr) continue;
    std::lock_guard heap_lock(heap->mutex());
    (heap->shares() ? figures.dictionary_bytes : figures.arena_bytes) +=
        heap->arena_bytes() + heap->table_bytes();
  }
  figures.lookups = lookups_.load(std::memory_order_relaxed);
  figures.misses = misses_.load(std::memory_order_relaxed);
  return figures;
}

}  // namespace recserve::items
