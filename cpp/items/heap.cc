#include "items/heap.h"

#include <cstring>

#include "columns/error.h"
#include "items/hash.h"

namespace recserve::items {

namespace {
constexpr size_t kFirstCells = 1024;
/// From this size on a table must have saved what the next larger one takes.
constexpr size_t kTrialCells = 65536;
}  // namespace

Heap::Heap(std::string name, bool share) : name_(std::move(name)), cells_(share ? kFirstCells : 0) {
  store(std::string_view("\0", 1));
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
  uint64_t from = end_;
  const uint64_t left = (kChunkBytes - from % kChunkBytes) % kChunkBytes;
  if (bytes.size() > left) {
    from += left;
    const uint64_t first = from / kChunkBytes;
    const uint64_t chunks = (bytes.size() + kChunkBytes - 1) / kChunkBytes;
    if (first + chunks > kChunks) {
      throw DataError("item column '" + name_ +
                      "' holds more than 8 GiB of text or lists; drop it or split the table");
    }
    // What is larger than a chunk takes several that lie side by side.
    // The first chunk is all that most columns have, and they are many: no huge pages for it.
    memory_.emplace_back(static_cast<uint8_t*>(allocate_pages(chunks * kChunkBytes, first > 0)));
    for (uint64_t i = 0; i < chunks; ++i) chunks_[first + i] = memory_.back().get() + i * kChunkBytes;
  }
  std::memcpy(chunks_[from / kChunkBytes] + from % kChunkBytes, bytes.data(), bytes.size());
  end_ = (from + bytes.size() + kGranule - 1) / kGranule * kGranule;
  return static_cast<uint32_t>(from / kGranule);
}

bool Heap::equals(uint32_t handle, std::string_view bytes) const {
  // Stored bytes delimit themselves, so an equal beginning is an equal string; do not read past the memory.
  const uint64_t from = handle * kGranule;
  if (from + bytes.size() > end_) return false;
  if (from % kChunkBytes + bytes.size() > kChunkBytes && from % kChunkBytes != 0) return false;
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

}  // namespace recserve::items
