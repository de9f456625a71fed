#include "items/slots.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "columns/error.h"

namespace recserve::items {

Slots::Slots(int32_t slot_bytes)
    : slot_bytes_(slot_bytes),
      chunks_(static_cast<uint8_t**>(std::calloc(kChunks, sizeof(uint8_t*))), &std::free) {
  if (chunks_ == nullptr) throw std::bad_alloc();
}

Slots::~Slots() {
  for (uint64_t row = 0; row < fresh_; row += kChunkRows) std::free(chunks_[row >> kChunkBits]);
}

uint32_t Slots::allocate() {
  uint32_t row;
  if (!free_.empty()) {
    row = free_.back();
    free_.pop_back();
  } else {
    if (fresh_ + 1 >= UINT32_MAX) throw DataError("the item store is full: it holds at most 4294967294 rows");
    if ((fresh_ & (kChunkRows - 1)) == 0) add_chunk();
    row = static_cast<uint32_t>(fresh_++);
  }
  std::memset(at(row), 0, slot_bytes_);
  return row;
}

void Slots::add_chunk() {
  constexpr size_t kHugePage = 2 << 20;
  const size_t bytes = (kChunkRows * slot_bytes_ + kHugePage - 1) / kHugePage * kHugePage;
  auto* chunk = static_cast<uint8_t*>(std::aligned_alloc(kHugePage, bytes));
  if (chunk == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Rows are read at random: with pages of 4 KiB nearly every row is also a miss of the TLB.
  madvise(chunk, bytes, MADV_HUGEPAGE);
#endif
  chunks_[fresh_ >> kChunkBits] = chunk;
}

}  // namespace recserve::items
