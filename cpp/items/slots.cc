#include "items/slots.h"

#include <cstring>
#include <new>

#include "columns/error.h"
#include "items/pages.h"

namespace recserve::items {

Slots::Slots(int32_t slot_bytes)
    : slot_bytes_(slot_bytes),
      chunks_(static_cast<uint8_t**>(std::calloc(kChunks, sizeof(uint8_t*))), &std::free) {
  if (chunks_ == nullptr) throw std::bad_alloc();
}

Slots::~Slots() { free_chunks(); }

void Slots::free_chunks() {
  for (uint64_t row = adopted_; row < fresh_; row += kChunkRows) std::free(chunks_[row >> kChunkBits]);
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

void Slots::adopt(uint8_t* slots, uint64_t rows) {
  free_chunks();
  free_.clear();
  adopted_ = fresh_ = rows / kChunkRows * kChunkRows;
  for (uint64_t row = 0; row < adopted_; row += kChunkRows)
    chunks_[row >> kChunkBits] = slots + row * slot_bytes_;
  if (rows == adopted_) return;
  add_chunk();
  std::memcpy(chunks_[fresh_ >> kChunkBits], slots + adopted_ * slot_bytes_, (rows - adopted_) * slot_bytes_);
  fresh_ = rows;
}

void Slots::add_chunk() {
  chunks_[fresh_ >> kChunkBits] = static_cast<uint8_t*>(allocate_pages(kChunkRows * slot_bytes_));
}

}  // namespace recserve::items
