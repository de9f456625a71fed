#include "items/compaction.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "items/cell_codec.h"
#include "items/refresh.h"

namespace recserve::items {

namespace {

using namespace std::chrono_literals;

/// Cells that are looked at, and rows that are moved, while the writers wait.
constexpr uint64_t kCellsAtOnce = 1024;
constexpr int kMovesAtOnce = 512;
/// Cells that are looked at together without them.
constexpr uint64_t kCellsTogether = 64;
/// Cells that are walked under one pin.
constexpr uint64_t kCellsMarked = 1 << 16;
/// Less garbage than this is left alone.
constexpr uint64_t kLeastGarbage = 64 << 10;
/// How long rows in flight, or readers, are waited for. Then the blocks stay, and nothing is lost.
constexpr auto kPatience = 30s;
/// Replaced rows that wait for their readers: with more, moving waits too, or it would take more memory than
/// it gives back.
constexpr size_t kMostRetired = 1 << 16;

/// Tries until it works or patience ends.
template <class Try>
bool wait_for(Try attempt) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!attempt()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

void skip_block(const uint8_t*& at, Type type, int64_t stored_bytes, uint64_t count) {
  if (type != Type::String) {
    at += count * static_cast<uint64_t>(stored_bytes);
    return;
  }
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < count; ++i) bytes += take_length(at);
  at += bytes;
}

/// Behind the end of what a handle of the field points at (cell_codec.h).
const uint8_t* cell_end(const Field& field, const uint8_t* at) {
  uint64_t count = take_length(at);
  if (field.type.shape == Shape::Scalar) return at + count;
  if (field.type.shape == Shape::Nested && count > 0) {
    const uint64_t total = take_length(at);
    for (uint64_t i = 0; i < count; ++i) take_length(at);
    count = total;
  }
  if (field.type.shape == Shape::Map)
    skip_block(at, field.type.key_type, width_of(field.type.key_type), count);
  skip_block(at, field.type.type, field.value_bytes, count);
  return at;
}

/// Which strings have been counted: a bit for each granule of the places that are marked.
class Seen {
 public:
  /// Whether it is the first time.
  bool add(uint32_t handle) {
    constexpr uint64_t kGranules = Heap::kChunkBytes / Heap::kGranule;
    std::vector<uint64_t>& bits = places_[handle / kGranules];
    if (bits.empty()) bits.resize(kGranules / 64);
    uint64_t& word = bits[handle % kGranules / 64];
    const uint64_t bit = uint64_t{1} << (handle % 64);
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }

 private:
  std::vector<std::vector<uint64_t>> places_{Heap::kPlaces};
};

}  // namespace

Compaction ItemStore::compact(double threshold) {
  std::lock_guard lock(maintenance_);
  Compaction compaction = Compactor(*this).run(threshold);
  int64_t garbage = 0;
  for (const CompactedColumn& column : compaction.columns) {
    garbage += std::max<int64_t>(0, column.after_bytes - column.live_bytes);
  }
  garbage_bytes_.store(garbage, std::memory_order_relaxed);
  return compaction;
}

Compaction Compactor::run(double threshold) {
  Compaction compaction;
  for (const Texts& texts : all_texts()) compaction.columns.push_back(compact(texts, threshold));
  compaction.rows_moved = rows_moved_;
  return compaction;
}

std::vector<Compactor::Texts> Compactor::all_texts() const {
  std::vector<Texts> all;
  for (size_t i = 0; i < store_.heaps_.size(); ++i) {
    const Field& field = store_.layout_.fields[i];
    if (store_.heaps_[i] != nullptr) all.push_back({store_.heaps_[i].get(), &field, field.name});
  }
  if (store_.text_keys()) all.push_back({&store_.key_cells_.texts(), nullptr, "the key"});
  return all;
}

CompactedColumn Compactor::compact(const Texts& texts, double threshold) {
  const Marked marked = mark(texts);
  uint64_t used = 0, live = 0;
  for (size_t i = 0; i < marked.blocks.size(); ++i) {
    used += marked.blocks[i].used;
    live += marked.live[i];
  }
  const uint64_t garbage = used - std::min(used, live);
  CompactedColumn column{texts.name, static_cast<int64_t>(used), static_cast<int64_t>(live),
                         static_cast<int64_t>(used)};
  if (garbage < kLeastGarbage || static_cast<double>(garbage) <= threshold * static_cast<double>(used))
    return column;
  // Blocks of half as much garbage are worth leaving too, once rows are rewritten anyway.
  std::vector<Heap::Block> victims;
  for (size_t i = 0; i < marked.blocks.size(); ++i) {
    const Heap::Block& block = marked.blocks[i];
    const uint64_t left = block.used - std::min(block.used, marked.live[i]);
    if (static_cast<double>(left) > threshold / 2 * static_cast<double>(block.used)) victims.push_back(block);
  }
  const uint64_t moved = bytes_moved_;
  if (!evacuate(texts, victims)) return column;
  column.after_bytes += static_cast<int64_t>(bytes_moved_ - moved);
  for (const Heap::Block& block : victims) column.after_bytes -= static_cast<int64_t>(block.used);
  return column;
}

// --- mark --------------------------------------------------------------------------------------------------

/// Rows that are written meanwhile may be counted or not: it decides what is worth moving, not what is moved.
Compactor::Marked Compactor::mark(const Texts& texts) {
  Marked marked;
  {
    std::lock_guard lock(texts.heap->mutex());
    marked.blocks = texts.heap->blocks();
  }
  marked.live.resize(marked.blocks.size());
  std::vector<int32_t> block_of(Heap::kPlaces, -1);
  for (size_t i = 0; i < marked.blocks.size(); ++i) {
    std::fill_n(block_of.begin() + marked.blocks[i].first, marked.blocks[i].chunks, static_cast<int32_t>(i));
  }
  Seen seen;
  for (uint64_t from = 0;;) {
    const Epochs::Pin pin = store_.pin();
    const Index::Table& table = store_.index_.table();
    if (from >= table.cells()) return marked;
    const uint64_t to = std::min(from + kCellsMarked, table.cells());
    std::vector<uint32_t> handles;
    for (; from < to; from += kCellsTogether) {
      for (const uint32_t row : rows_at(texts, table, from, std::min(from + kCellsTogether, to))) {
        const uint8_t* cell = handle_cell(texts, store_.slots_.at(row));
        const uint32_t handle = cell == nullptr ? 0 : load<uint32_t>(cell);
        const int32_t block = block_of[handle * Heap::kGranule / Heap::kChunkBytes];
        if (block < 0 || !seen.add(handle)) continue;
        __builtin_prefetch(texts.heap->at(handle));
        handles.push_back(handle);
      }
    }
    for (const uint32_t handle : handles) {
      marked.live[block_of[handle * Heap::kGranule / Heap::kChunkBytes]] +=
          Heap::whole_granules(stored_bytes(texts, handle));
    }
  }
}

void Compactor::prefetch(const Texts& texts, uint32_t row) const {
  __builtin_prefetch(store_.slots_.at(row) + (texts.field == nullptr ? Layout::kKey : texts.field->offset));
}

/// Where a row keeps its handle; null when it has none.
uint8_t* Compactor::handle_cell(const Texts& texts, uint8_t* slot) const {
  if (texts.field == nullptr) return KeyCells::handle_cell(slot + Layout::kKey);
  const Field& field = *texts.field;
  const int32_t one = field.one_bit;
  if (one >= 0 && ((slot[store_.layout_.bits + (one >> 3)] >> (one & 7)) & 1) != 0) return nullptr;
  return slot + field.offset;
}

uint64_t Compactor::stored_bytes(const Texts& texts, uint32_t handle) const {
  static const Field kText{.name = {}, .type = {}};
  const uint8_t* at = texts.heap->at(handle);
  return static_cast<uint64_t>(cell_end(texts.field == nullptr ? kText : *texts.field, at) - at);
}

// --- leave, drain, move, free ------------------------------------------------------------------------------

bool Compactor::evacuate(const Texts& texts, std::span<const Heap::Block> victims) {
  const auto with_heap = [&](auto use) {
    std::lock_guard lock(texts.heap->mutex());
    use(*texts.heap);
  };
  with_heap([&](Heap& heap) { heap.leave(victims); });
  bool empty = false;
  try {
    empty = store_.in_flight_.drain(kPatience) && move_rows(texts) &&
            (texts.field != nullptr || forget_tombstones());
  } catch (const std::exception&) {  // no slot, no place in the arena or no memory is left: all stays valid
  }
  if (!empty) {
    with_heap([&](Heap& heap) { heap.keep(victims); });
    return false;
  }
  retire(*texts.heap, victims);
  return true;
}

bool Compactor::move_rows(const Texts& texts) {
  at_ = 0;
  generation_ = -1;
  while (move_slice(texts)) {
    const bool in_time = wait_for([&] {
      std::lock_guard lock(store_.mutex_);
      store_.reclaim();
      return store_.retired_.size() < kMostRetired;
    });
    if (!in_time) return false;
    skip_rows(texts);
    // A mutex is not fair: who has just given it back would get it again before those who wait.
    std::this_thread::sleep_for(50us);
  }
  return true;
}

/// Passes over cells whose rows need no move, without the mutex: nobody makes them refer to a block that is
/// left. A table that is replaced meanwhile is noticed by the next slice.
void Compactor::skip_rows(const Texts& texts) {
  for (;;) {
    const Epochs::Pin pin = store_.pin();
    const Index::Table& table = store_.index_.table();
    const uint64_t to = std::min(at_ + kCellsMarked, table.cells());
    while (at_ < to) {
      const uint64_t end = std::min(at_ + kCellsTogether, to);
      const std::vector<uint32_t> rows = rows_at(texts, table, at_, end);
      if (std::ranges::any_of(rows, [&](uint32_t row) { return must_move(texts, row); })) return;
      at_ = end;
    }
    if (at_ >= table.cells()) return;
  }
}

/// The rows of these cells, asked of memory.
std::vector<uint32_t> Compactor::rows_at(const Texts& texts, const Index::Table& table, uint64_t from,
                                         uint64_t to) const {
  std::vector<uint32_t> rows;
  for (uint64_t at = from; at < to; ++at) {
    const uint32_t row = table.cell(at).row.load(std::memory_order_acquire);
    if (row == 0 || row == Index::kDeleted) continue;
    rows.push_back(row);
    prefetch(texts, row);
  }
  return rows;
}

/// A tombstone has the key of the row before it. It is forgotten, not moved.
bool Compactor::must_move(const Texts& texts, uint32_t row) const {
  const uint8_t* handle = handle_cell(texts, store_.slots_.at(row));
  return handle != nullptr && texts.heap->leaving(load<uint32_t>(handle)) && !store_.is_tombstone(row);
}

/// False behind the last cell.
bool Compactor::move_slice(const Texts& texts) {
  std::lock_guard lock(store_.mutex_);
  if (generation_ != store_.index_.generation()) at_ = 0;
  generation_ = store_.index_.generation();
  Index::Table& table = store_.index_.writable();
  if (at_ >= table.cells()) return false;
  const uint64_t to = std::min(at_ + kCellsAtOnce, table.cells());
  rows_at(texts, table, at_, to);
  int moves = 0;
  for (; at_ < to && moves < kMovesAtOnce; ++at_) {
    Index::Cell& cell = table.cell(at_);
    const uint32_t row = cell.row.load(std::memory_order_relaxed);
    if (row == 0 || row == Index::kDeleted || !must_move(texts, row)) continue;
    move(texts, cell, row);
    ++moves;
  }
  if (moves > 0) store_.epochs_.advance();
  store_.reclaim();
  return true;
}

/// The copy says what the row says, so whoever may see the row may see the copy: it is born at the same
/// epoch.
void Compactor::move(const Texts& texts, Index::Cell& cell, uint32_t row) {
  const uint32_t copy = store_.slots_.allocate();
  uint8_t* slot = store_.slots_.at(copy);
  try {
    std::memcpy(slot, store_.slots_.at(row), store_.layout_.slot_bytes);
    uint8_t* handle = handle_cell(texts, slot);
    const auto from = load<uint32_t>(handle);
    const uint64_t bytes = stored_bytes(texts, from);
    uint32_t to;
    {
      std::lock_guard lock(texts.heap->mutex());
      to = texts.heap->append({reinterpret_cast<const char*>(texts.heap->at(from)), bytes});
    }
    std::memcpy(handle, &to, sizeof(to));
    bytes_moved_ += Heap::whole_granules(bytes);
  } catch (...) {
    store_.slots_.release(copy);
    throw;
  }
  cell.row.store(copy, std::memory_order_release);
  store_.retired_.emplace_back(store_.epochs_.current() + 1, row);
  for (Refresh* open : store_.refreshes_) open->follow(row, copy, false);
  ++rows_moved_;
}

/// Waits until the tombstones of now are gone: those that come later have keys of rows that were moved.
bool Compactor::forget_tombstones() {
  std::unique_lock lock(store_.mutex_);
  const uint64_t now = store_.epochs_.current();
  lock.unlock();
  return wait_for([&] {
    std::lock_guard held(store_.mutex_);
    store_.reclaim();
    return store_.tombstones_.empty() || store_.tombstones_.front().epoch > now;
  });
}

void Compactor::retire(Heap& heap, std::span<const Heap::Block> blocks) {
  std::lock_guard lock(store_.mutex_);
  const uint64_t epoch = store_.epochs_.current() + 1;
  for (const Heap::Block& block : blocks) store_.retired_blocks_.push_back({epoch, &heap, block});
  store_.epochs_.advance();
  store_.reclaim();
}

}  // namespace recserve::items
