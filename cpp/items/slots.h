// Fixed-width rows in chunks that never move.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace recserve::items {

/// Row numbers are handed out from a free list first, then fresh, the first one being 0. The caller
/// serialises everything but `at`, which any thread may call for a row number that was published to it.
class Slots {
 public:
  explicit Slots(int32_t slot_bytes);
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  ~Slots();

  uint8_t* at(uint32_t row) const {
    return chunks_[row >> kChunkBits] + static_cast<uint64_t>(row & (kChunkRows - 1)) * slot_bytes_;
  }
  /// A row whose slot is all zero. Throws DataError when 4 billion are taken.
  uint32_t allocate();
  void release(uint32_t row) { free_.push_back(row); }
  /// Becomes `rows` rows, none of them free, that lie at `slots` one behind the other. That memory outlives
  /// this, and is written when rows are used again; a chunk that is not full is copied, for more to come.
  void adopt(uint8_t* slots, uint64_t rows);

  int64_t allocated() const { return static_cast<int64_t>(fresh_); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  int64_t slot_bytes() const { return slot_bytes_; }
  int64_t bytes() const { return allocated() * slot_bytes_; }

 private:
  static constexpr int kChunkBits = 16;
  static constexpr uint32_t kChunkRows = 1u << kChunkBits;
  static constexpr uint64_t kChunks = (uint64_t{1} << 32) >> kChunkBits;

  void add_chunk();
  void free_chunks();

  int64_t slot_bytes_;
  uint64_t fresh_ = 0;    // rows ever handed out
  uint64_t adopted_ = 0;  // the first rows, in somebody else's memory: whole chunks
  std::unique_ptr<uint8_t*[], decltype(&std::free)>
      chunks_;  // room for all from the start: `at` takes no lock
  std::vector<uint32_t> free_;
};

}  // namespace recserve::items
