// Bytes of the cells that do not fit a fixed width: strings, lists, maps.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "items/pages.h"

namespace recserve::items {

/// An append-only arena of byte strings, addressed by 32-bit handles that count `kGranule` bytes (8 GiB for
/// one column). Handle 0 is one zero byte: an empty string or list, in no block. Chunks never move, so
/// readers need no lock for handles that were published to them.
///
///   places  | 0 empty cell | 1 block | 2 free | 3 block of three, for a large string | 6 open block | ...
///   2047
///
/// Memory comes and goes in *blocks* of one chunk of 4 MiB, or of several side by side. A block whose strings
/// were all copied away is freed, and its places are taken again (compaction.h).
///
/// As long as it pays, equal strings share one handle (a dictionary): measured, not configured. The table of
/// handles is dropped as soon as it takes more memory than sharing has saved; then the heap only appends.
class Heap {
 public:
  static constexpr uint64_t kGranule = 2;
  static constexpr uint64_t kChunkBytes = uint64_t{4} << 20;
  static constexpr uint64_t kPlaces = (uint64_t{1} << 32) * kGranule / kChunkBytes;

  struct Block {
    uint32_t first = 0;  // its place, or the first of several
    uint32_t chunks = 1;
    uint64_t used = 0;  // bytes
  };
  struct Cell {
    uint32_t tag = 0;
    uint32_t handle = 0;  // 0: empty
  };
  /// All that a heap is, but the bytes: what an image keeps of it.
  struct State {
    std::vector<Block> blocks;  // by place
    uint32_t open = kNone;      // the place of the block that was appended to
    uint64_t saved = 0;
    std::vector<Cell> table;  // empty: it does not share
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  /// What a string of so many bytes takes: strings start at whole granules.
  static constexpr uint64_t whole_granules(uint64_t bytes) {
    return (bytes + kGranule - 1) / kGranule * kGranule;
  }

  /// `share`: whether equal strings are looked for at all.
  explicit Heap(std::string name, bool share = true);
  /// A heap as it was, its blocks' bytes at `bytes` (one address per block), which outlive it. With `append`
  /// the block that was appended to is copied, so that it goes on there; without it the heap is for reading.
  /// Throws DataError when the state contradicts itself.
  Heap(std::string name, State state, std::span<const uint8_t* const> bytes, bool append);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// Hold it around all that is not `at`: one thread at a time, to one column of many.
  std::mutex& mutex() { return mutex_; }
  /// The handle of these bytes. They must delimit themselves: no string may be the beginning of another.
  /// Throws DataError when 8 GiB are full.
  uint32_t append(std::string_view bytes);

  const uint8_t* at(uint32_t handle) const {
    const uint64_t from = handle * kGranule;
    return chunks_[from / kChunkBytes] + from % kChunkBytes;
  }
  /// Whether a string may start there.
  bool holds(uint32_t handle) const {
    const uint64_t from = handle * kGranule;
    return from / kChunkBytes < ends_.size() && from < ends_[from / kChunkBytes];
  }
  /// Bytes from the start of a string on that may be read.
  uint64_t readable(uint32_t handle) const {
    const uint64_t from = handle * kGranule;
    return ends_[from / kChunkBytes] - from;
  }

  bool shares() const { return !cells_.empty(); }
  int64_t arena_bytes() const { return static_cast<int64_t>(used_bytes_); }
  int64_t table_bytes() const { return static_cast<int64_t>(cells_.size() * sizeof(Cell)); }

  State state() const;
  /// Blocks that strings may be in, but those that are being left.
  std::vector<Block> blocks() const;

  // Leaving blocks, so that they can be freed. Between `leave` and `free` whoever has a handle may read it.

  /// From now on nothing is appended to these blocks, and no string in them is found to be shared.
  void leave(std::span<const Block> blocks);
  bool leaving(uint32_t handle) const { return leaving_[handle * kGranule / kChunkBytes]; }
  /// False: no block is being left. May be asked without the mutex.
  bool any_leaving() const { return blocks_left_.load(std::memory_order_acquire) > 0; }
  /// Ends `leave` for blocks that are still used.
  void keep(std::span<const Block> blocks);
  /// Nobody has a handle into this block any more: its memory goes, its places may be taken again.
  void free(const Block& block);

 private:
  struct Held {
    Block block;
    Pages<uint8_t> memory;  // null: somebody else's
  };

  uint32_t store(std::string_view bytes);
  Held& open_block(uint64_t bytes);
  void reserve_places(uint64_t behind);
  void place(const Block& block, const uint8_t* bytes, uint64_t end);
  bool equals(uint32_t handle, std::string_view bytes) const;
  void insert(uint32_t tag, uint32_t handle);
  void grow();

  std::string name_;
  mutable std::mutex mutex_;
  std::array<const uint8_t*, kPlaces> chunks_{};
  std::vector<uint64_t> ends_;  // by place: where the readable bytes of its block end; 0: free
  std::array<bool, kPlaces> leaving_{};
  std::atomic<int64_t> blocks_left_{0};
  std::map<uint32_t, Held> held_;  // by first place
  uint32_t open_ = kNone;          // what is appended to
  uint64_t used_bytes_ = 0;
  std::vector<Cell> cells_;
  size_t used_ = 0;
  uint64_t saved_ = 0;  // bytes that sharing did not store again
};

}  // namespace recserve::items
