// Bytes of the cells that do not fit a fixed width: strings, lists, maps.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "items/pages.h"

namespace recserve::items {

/// An append-only arena of byte strings, addressed by 32-bit handles that count `kGranule` bytes (8 GiB for
/// one column). Handle 0 is one zero byte: an empty string or list. Chunks never move, so readers need no
/// lock for handles that were published to them.
///
/// As long as it pays, equal strings share one handle (a dictionary): measured, not configured. The table of
/// handles is dropped as soon as it takes more memory than sharing has saved; then the heap only appends.
class Heap {
 public:
  static constexpr uint64_t kGranule = 2;
  static constexpr uint64_t kChunkBytes = uint64_t{4} << 20;

  /// `share`: whether equal strings are looked for at all.
  explicit Heap(std::string name, bool share = true);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// Hold it around `append`: one thread writes at a time, to one column of many.
  std::mutex& mutex() { return mutex_; }
  /// The handle of these bytes. They must delimit themselves: no string may be the beginning of another.
  /// Throws DataError when 8 GiB are full.
  uint32_t append(std::string_view bytes);

  const uint8_t* at(uint32_t handle) const {
    const uint64_t from = handle * kGranule;
    return chunks_[from / kChunkBytes] + from % kChunkBytes;
  }

  bool shares() const { return !cells_.empty(); }
  int64_t arena_bytes() const { return static_cast<int64_t>(end_); }
  int64_t table_bytes() const { return static_cast<int64_t>(cells_.size() * sizeof(Cell)); }

 private:
  struct Cell {
    uint32_t tag = 0;
    uint32_t handle = 0;  // 0: empty
  };
  static constexpr uint64_t kChunks = (uint64_t{1} << 32) * kGranule / kChunkBytes;

  uint32_t store(std::string_view bytes);
  bool equals(uint32_t handle, std::string_view bytes) const;
  void insert(uint32_t tag, uint32_t handle);
  void grow();

  std::string name_;
  std::mutex mutex_;
  std::array<uint8_t*, kChunks> chunks_{};
  std::vector<Pages<uint8_t>> memory_;
  uint64_t end_ = 0;  // bytes used, from the start of the first chunk
  std::vector<Cell> cells_;
  size_t used_ = 0;
  uint64_t saved_ = 0;  // bytes that sharing did not store again
};

}  // namespace recserve::items
