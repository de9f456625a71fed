#include "items/store.h"

#include <algorithm>
#include <utility>

#include "items/cell_codec.h"
#include "items/refresh.h"

namespace recserve::items {

namespace {

/// Rows that are written column by column while their slots are in the cache.
constexpr int64_t kBlockRows = 256;

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

void check_type(const std::string& name, const ColumnType& expected, const Column& column) {
  const ColumnType type = column_type(column);
  if (type == expected) return;
  const bool nulls =
      type.shape == Shape::Nested && expected.shape == Shape::List && type.type == expected.type;
  throw DataError("item column '" + name + "' holds " + name_of(type) + "; the store was made for " +
                  name_of(expected) +
                  (nulls ? " (numbers with nulls between them come as lists of lists: drop the nulls)" : ""));
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

/// The columns that were declared, kept or dropped, and no others; one missing row stands for an absent one.
Batch ItemStore::declared(const Batch& raw) const {
  Batch batch(raw.rows());
  for (const ColumnTypes* columns : {&spec_.raw, &spec_.dropped}) {
    for (const auto& [name, type] : *columns) {
      ColumnPtr column = raw.share(name);
      if (column == nullptr) column = missing_row(type);
      check_type(name, type, *column);
      batch.add(name, std::move(column));
    }
  }
  return batch;
}

// --- writing -----------------------------------------------------------------------------------------------

ItemStore::Prepared::Prepared(ItemStore& store, ColumnPtr ids)
    : store_(&store),
      ids_(std::move(ids)),
      keys_(store.spec_.text_keys, *ids_),
      ticket_(store.in_flight_.enter()) {}

ItemStore::Prepared::Prepared(Prepared&& other) noexcept
    : store_(other.store_),
      ids_(std::move(other.ids_)),
      keys_(std::move(other.keys_)),
      rows_(std::exchange(other.rows_, {})),
      ticket_(std::move(other.ticket_)) {}

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
  look_up_range(pin, keys, 0, keys.size(), {}, rows);
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
    check_type(field.name, field.type, *column);
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

Published ItemStore::publish(Prepared prepared, uint64_t since, Refresh* refresh) {
  std::lock_guard lock(mutex_);
  if (refresh != nullptr) refresh->check_hash(prepared.rows_);
  Published published;
  const uint64_t epoch = epochs_.current() + 1;
  const Keys& keys = prepared.keys_;
  if (auto replaced = index_.reserve(keys.size())) retired_tables_.emplace_back(epoch, std::move(replaced));
  for (int64_t i = 0; i < keys.size(); ++i) {
    const uint32_t row = prepared.rows_[i];
    if (refresh != nullptr && !refresh->lands(keys.bytes(i), slots_.at(row))) {
      slots_.release(row);
      continue;
    }
    const uint32_t old = repoint(keys, i, row, epoch);
    for (Refresh* open : refreshes_) open->follow(old, row, open == refresh);
    if (old == 0) {
      ++published.inserted;
    } else {
      ++published.replaced;
      published.repeated += load<uint64_t>(slots_.at(old) + Layout::kBorn) > since ? 1 : 0;
    }
  }
  rows_ += published.inserted;
  prepared.rows_.clear();
  epochs_.advance();
  reclaim();
  return published;
}

/// Makes `row`, which is `born` now, the version of key i; returns the row that it replaces, or 0.
uint32_t ItemStore::repoint(const Keys& keys, int64_t i, uint32_t row, uint64_t born) {
  uint8_t* slot = slots_.at(row);
  store_at(slot + Layout::kBorn, born);
  Index::Cell* cell = cell_of(keys, i);
  if (cell == nullptr) {
    index_.insert(keys.hash(i), row);
    return 0;
  }
  const uint32_t old = cell->row.load(std::memory_order_relaxed);
  store_at(slot + Layout::kPrevious, old);
  cell->row.store(row, std::memory_order_release);
  retired_.emplace_back(Layout::epoch(born), old);
  return is_tombstone(old) ? 0 : old;
}

int64_t ItemStore::remove(const Column& ids) {
  const Keys keys(spec_.text_keys, ids);
  std::lock_guard lock(mutex_);
  reclaim();
  const uint64_t epoch = epochs_.current() + 1;
  std::vector<std::pair<int64_t, uint32_t>> tombstones;  // all of them are allocated, or nothing happens
  for (int64_t i = 0; i < keys.size(); ++i) {
    if (!keys.none(i) && live_row(keys, i) != 0) tombstones.emplace_back(i, slots_.allocate());
  }
  int64_t removed = 0;
  for (const auto& [i, row] : tombstones) {
    const uint32_t old = live_row(keys, i);
    if (old == 0) {  // the key was named twice
      slots_.release(row);
      continue;
    }
    std::memcpy(slots_.at(row) + Layout::kKey, slots_.at(old) + Layout::kKey,
                KeyCells::bytes(spec_.text_keys));
    repoint(keys, i, row, epoch | Layout::kTombstone);
    for (Refresh* open : refreshes_) open->follow(0, row, false);
    tombstones_.push_back({epoch, keys.hash(i), row});
    ++removed;
  }
  rows_ -= removed;
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

uint32_t ItemStore::live_row(const Keys& keys, int64_t i) {
  const Index::Cell* cell = cell_of(keys, i);
  if (cell == nullptr) return 0;
  const uint32_t row = cell->row.load(std::memory_order_relaxed);
  return is_tombstone(row) ? 0 : row;
}

bool ItemStore::is_tombstone(uint32_t row) const {
  return Layout::tombstone(load<uint64_t>(slots_.at(row) + Layout::kBorn));
}

void ItemStore::reclaim() {
  const uint64_t oldest = epochs_.oldest();
  // Tombstones first: a row that has replaced one is told from it by its number, which is not reused yet.
  for (; !tombstones_.empty() && tombstones_.front().epoch <= oldest; tombstones_.pop_front()) {
    bury(tombstones_.front());
  }
  for (; !retired_.empty() && retired_.front().first <= oldest; retired_.pop_front()) {
    slots_.release(retired_.front().second);
  }
  for (; !retired_blocks_.empty() && retired_blocks_.front().epoch <= oldest; retired_blocks_.pop_front()) {
    const RetiredBlock& retired = retired_blocks_.front();
    std::lock_guard lock(retired.heap->mutex());
    retired.heap->free(retired.block);
  }
  while (!retired_tables_.empty() && retired_tables_.front().first <= oldest) retired_tables_.pop_front();
}

/// Nobody sees the row before the tombstone any more, so the key need not be found at all.
void ItemStore::bury(const Tombstone& tombstone) {
  Index::Cell* cell = index_.writable().find(tombstone.hash, tombstone.row);
  if (cell == nullptr) return;  // the key has come back
  cell->row.store(Index::kDeleted, std::memory_order_release);
  index_.removed();
  // Whoever is pinned now may have found the tombstone itself.
  retired_.emplace_back(epochs_.current() + 1, tombstone.row);
}

// --- figures -----------------------------------------------------------------------------------------------

StoreFigures ItemStore::figures() const {
  std::lock_guard lock(mutex_);
  StoreFigures figures;
  figures.rows = rows_;
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
  figures.garbage_bytes = garbage_bytes_.load(std::memory_order_relaxed);
  figures.lookups = lookups_.load(std::memory_order_relaxed);
  figures.misses = misses_.load(std::memory_order_relaxed);
  return figures;
}

std::vector<ColumnBytes> ItemStore::column_bytes() const {
  std::lock_guard lock(mutex_);
  std::vector<ColumnBytes> columns;
  for (size_t i = 0; i < layout_.fields.size(); ++i) {
    const Field& field = layout_.fields[i];
    columns.push_back({.name = field.name,
                       .type = name_of(field.type),
                       .finished = static_cast<int32_t>(i) >= layout_.raw_fields,
                       .slot_bytes = slots_.allocated() * field.cell_bytes});
    if (heaps_[i] == nullptr) continue;
    std::lock_guard heap_lock(heaps_[i]->mutex());
    columns.back().heap_bytes = heaps_[i]->arena_bytes() + heaps_[i]->table_bytes();
  }
  return columns;
}

}  // namespace recserve::items
