#include "items/heap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "columns/error.h"
#include "items/hash.h"

namespace recserve::items {

namespace {
constexpr size_t kFirstCells = 1024;
/// From this size on a table must have saved what the next larger one takes.
constexpr size_t kTrialCells = 65536;

constexpr uint8_t kEmptyCell[Heap::kGranule] = {};

}  // namespace

Heap::Heap(std::string name, bool share)
    : name_(std::move(name)), ends_{kGranule}, cells_(share ? kFirstCells : 0) {
  chunks_[0] = kEmptyCell;
}

Heap::Heap(std::string name, State state, std::span<const uint8_t* const> bytes, bool append)
    : Heap(std::move(name), false) {
  const auto contradiction = [&] { return DataError("the texts of '" + name_ + "' contradict themselves"); };
  cells_ = std::move(state.table);
  saved_ = state.saved;
  uint64_t behind = 1;
  for (size_t i = 0; i < state.blocks.size(); ++i) {
    const Block& block = state.blocks[i];
    const bool fits = block.first >= behind && block.chunks > 0 &&
                      block.first + uint64_t{block.chunks} <= kPlaces &&
                      block.used <= block.chunks * kChunkBytes && block.used % kGranule == 0;
    if (!fits) throw contradiction();
    behind = block.first + block.chunks;
    reserve_places(behind);
    Held& held = held_[block.first] = Held{block, nullptr};
    if (append && block.first == state.open && block.chunks == 1) {
      held.memory.reset(static_cast<uint8_t*>(allocate_pages(kChunkBytes, block.first > 1)));
      std::memcpy(held.memory.get(), bytes[i], block.used);
      open_ = block.first;
    }
    const bool copied = held.memory != nullptr;
    place(block, copied ? held.memory.get() : bytes[i],
          block.first * kChunkBytes + (copied ? kChunkBytes : block.used));
    used_bytes_ += block.used;
  }
  for (const Cell& cell : cells_) {
    if (cell.handle != 0 && !holds(cell.handle)) throw contradiction();
    used_ += cell.handle != 0;
  }
  const bool sound = std::has_single_bit(cells_.size()) && used_ * 4 <= cells_.size() * 3;
  if (shares() && !sound) throw contradiction();
}

uint32_t Heap::append(std::string_view bytes) {
  if (bytes.size() == 1 && bytes[0] == '\0') return 0;
  if (!shares()) return store(bytes);
  const auto tag = static_cast<uint32_t>(hash_bytes(bytes));
  const size_t mask = cells_.size() - 1;
  for (size_t at = tag & mask; cells_[at].handle != 0; at = (at + 1) & mask) {
    if (cells_[at].tag == tag && equals(cells_[at].handle, bytes)) {
      saved_ += bytes.size();
      return cells_[at].handle;
    }
  }
  const uint32_t handle = store(bytes);
  insert(tag, handle);
  if (++used_ * 4 > cells_.size() * 3) grow();
  return handle;
}

uint32_t Heap::store(std::string_view bytes) {
  Held& held = open_block(bytes.size());
  const uint64_t from = held.block.first * kChunkBytes + held.block.used;
  std::memcpy(held.memory.get() + held.block.used, bytes.data(), bytes.size());
  const uint64_t taken = whole_granules(bytes.size());
  held.block.used += taken;
  used_bytes_ += taken;
  return static_cast<uint32_t>(from / kGranule);
}

/// A block with room for `bytes`: the one that is open, or a new one at the first places that are free.
Heap::Held& Heap::open_block(uint64_t bytes) {
  if (open_ != kNone) {
    Held& open = held_[open_];
    if (bytes <= open.block.chunks * kChunkBytes - open.block.used) return open;
  }
  // What is larger than a chunk takes several that lie side by side.
  const uint64_t chunks = std::max<uint64_t>(1, (bytes + kChunkBytes - 1) / kChunkBytes);
  uint64_t first = 1;
  for (const auto& [taken, held] : held_) {
    if (first + chunks <= taken) break;
    first = taken + held.block.chunks;
  }
  if (first + chunks > kPlaces) {
    throw DataError("item column '" + name_ +
                    "' holds more than 8 GiB of text or lists; drop it or split the table");
  }
  reserve_places(first + chunks);
  const Block block{static_cast<uint32_t>(first), static_cast<uint32_t>(chunks), 0};
  // The first chunk is all that most columns have, and they are many: no huge pages for it.
  Pages<uint8_t> memory(static_cast<uint8_t*>(allocate_pages(chunks * kChunkBytes, first > 1)));
  Held& held = held_[block.first] = Held{block, std::move(memory)};
  place(block, held.memory.get(), (first + chunks) * kChunkBytes);
  open_ = block.first;
  return held;
}

void Heap::reserve_places(uint64_t behind) { ends_.resize(std::max(ends_.size(), behind)); }

void Heap::place(const Block& block, const uint8_t* bytes, uint64_t end) {
  for (uint64_t i = 0; i < block.chunks; ++i) {
    chunks_[block.first + i] = bytes + i * kChunkBytes;
    ends_[block.first + i] = end;
  }
}

bool Heap::equals(uint32_t handle, std::string_view bytes) const {
  // Stored bytes delimit themselves, so an equal beginning is an equal string; do not read past the memory.
  const uint64_t from = handle * kGranule;
  if (from + bytes.size() > ends_[from / kChunkBytes]) return false;
  return std::memcmp(at(handle), bytes.data(), bytes.size()) == 0;
}

void Heap::insert(uint32_t tag, uint32_t handle) {
  const size_t mask = cells_.size() - 1;
  size_t at = tag & mask;
  while (cells_[at].handle != 0) at = (at + 1) & mask;
  cells_[at] = Cell{tag, handle};
}

void Heap::grow() {
  const size_t size = cells_.size() * 2;
  const std::vector<Cell> old = std::move(cells_);
  cells_ = {};
  if (old.size() >= kTrialCells && saved_ < size * sizeof(Cell)) return;
  cells_.resize(size);
  for (const Cell& cell : old) {
    if (cell.handle != 0) insert(cell.tag, cell.handle);
  }
}

Heap::State Heap::state() const { return State{blocks(), open_, saved_, cells_}; }

std::vector<Heap::Block> Heap::blocks() const {
  std::vector<Block> blocks;
  for (const auto& [first, held] : held_) {
    if (!leaving_[first]) blocks.push_back(held.block);
  }
  return blocks;
}

// --- leaving blocks ----------------------------------------------------------------------------------------

void Heap::leave(std::span<const Block> blocks) {
  blocks_left_ += static_cast<int64_t>(blocks.size());
  for (const Block& block : blocks) {
    std::fill_n(leaving_.begin() + block.first, block.chunks, true);
    if (block.first == open_) open_ = kNone;
  }
  if (!shares()) return;
  const auto stays = [&](const Cell& cell) { return cell.handle != 0 && !leaving(cell.handle); };
  used_ = static_cast<size_t>(std::ranges::count_if(cells_, stays));
  const std::vector<Cell> old =
      std::exchange(cells_, std::vector<Cell>(std::max(kFirstCells, std::bit_ceil(used_ * 2))));
  for (const Cell& cell : old) {
    if (stays(cell)) insert(cell.tag, cell.handle);
  }
}

void Heap::keep(std::span<const Block> blocks) {
  blocks_left_ -= static_cast<int64_t>(blocks.size());
  for (const Block& block : blocks) std::fill_n(leaving_.begin() + block.first, block.chunks, false);
}

void Heap::free(const Block& block) {
  auto held = held_.find(block.first);
  used_bytes_ -= held->second.block.used;
  --blocks_left_;
  // The system gets the memory now, however the allocator keeps what is freed.
  forget_pages(chunks_[block.first], held->second.block.used);
  for (uint64_t i = block.first; i < block.first + block.chunks; ++i) {
    chunks_[i] = nullptr;
    ends_[i] = 0;
    leaving_[i] = false;
  }
  held_.erase(held);
}

}  // namespace recserve::items
