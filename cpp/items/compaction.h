// Arenas only grow, and after many refreshes most of what is in them is read by nobody. Compaction copies
// what is still read out of the blocks that hold little of it, and frees them: readers never wait, writers
// for slices of about a millisecond.
//
//   mark     which strings do rows refer to? live bytes of every block
//   leave    blocks of much garbage: nothing is appended to them, nothing in them is found to be shared
//   drain    wait for rows that were begun before, and may refer to them: published, or given up
//   move     go through the index: a row that refers to such a block gets a new slot and a copy of the string
//   free     when no reader is left who may have seen the rows before
//
// One column at a time. Peak memory: a sixteenth of its arena, and the live bytes of the blocks it leaves.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "items/store.h"

namespace recserve::items {

class Compactor {
 public:
  explicit Compactor(ItemStore& store) : store_(store) {}

  /// Marks all columns, and compacts those in which more than `threshold` of the arena is garbage.
  Compaction run(double threshold);

 private:
  /// A heap and where rows refer to it; no field: the keys' texts.
  struct Texts {
    Heap* heap;
    const Field* field;
    std::string name;
  };
  struct Marked {
    std::vector<Heap::Block> blocks;
    std::vector<uint64_t> live;  // bytes, by block
  };

  std::vector<Texts> all_texts() const;
  CompactedColumn compact(const Texts& texts, double threshold);
  Marked mark(const Texts& texts);
  bool evacuate(const Texts& texts, std::span<const Heap::Block> victims);
  bool move_rows(const Texts& texts);
  void skip_rows(const Texts& texts);
  bool move_slice(const Texts& texts);
  void move(const Texts& texts, Index::Cell& cell, uint32_t row);
  bool forget_tombstones();
  void retire(Heap& heap, std::span<const Heap::Block> blocks);

  std::vector<uint32_t> rows_at(const Texts& texts, const Index::Table& table, uint64_t from,
                                uint64_t to) const;
  bool must_move(const Texts& texts, uint32_t row) const;
  void prefetch(const Texts& texts, uint32_t row) const;
  uint8_t* handle_cell(const Texts& texts, uint8_t* slot) const;
  uint64_t stored_bytes(const Texts& texts, uint32_t handle) const;

  ItemStore& store_;
  int64_t rows_moved_ = 0;
  uint64_t bytes_moved_ = 0;
  uint64_t at_ = 0;          // the walk through the index
  int64_t generation_ = -1;  // of the index that `at_` counts in
};

}  // namespace recserve::items
