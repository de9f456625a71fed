// What a model makes of an item alone, kept by version of its row.
//
//   Found (rows, born) ──at──▶ entry ──row of floats──▶ behind the tensors of a request, block by block
//
// A row of the store never changes between its birth and its end, so a result belongs to (row, born) and can
// never be that of an older version, or of another item that has the row now: `born` differs. Whoever asks
// with a Found holds the pin that it was found under, so none of its rows ends meanwhile.
//
//   entry   | born 8 | row 4 | used 1 | pad 3 | floats of one item |
//
// Entries are written once and read without a lock. What is replaced or evicted is used again when every
// reader that might look at it has ended (epochs.h). With a budget the entries go round as on a clock: one
// that was read since the hand came by stays, another goes, which is near to the least recently used.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "columns/model_inputs.h"
#include "items/epochs.h"
#include "items/slots.h"
#include "items/store.h"

namespace recserve::items {

struct ResultFigures {
  int64_t entries = 0;
  int64_t bytes = 0;
  int64_t hits = 0, misses = 0;
  int64_t evicted = 0;
};

/// Any number of threads read; writers wait for one another, never for readers.
class ItemResults {
 public:
  /// `names` and `widths` of the tensors of one item. `budget_bytes`: at most so much memory; 0: any. Throws
  /// DataError for a budget that does not hold a hundred items.
  ItemResults(std::vector<std::string> names, std::vector<int64_t> widths, uint64_t budget_bytes);

  /// The inputs of a request with the results of its items behind them, (rows, width) each; and which of them
  /// are not kept, whose floats are not written yet.
  std::pair<std::shared_ptr<ModelInputs>, std::vector<int64_t>> with_results(const ModelInputs& inputs,
                                                                             const Found& found);
  /// Which results are not kept. Counts neither hits nor misses.
  std::vector<int64_t> missing(const Found& found);
  /// Keeps results of some rows: `floats[k]` is that of name k, (rows, width). What there is no room for is
  /// left out.
  void add(const Found& found, const std::vector<const float*>& floats);
  /// Writes them into the inputs that lack them, too: at positions `missing` of its rows.
  void fill(ModelInputs& inputs, std::span<const int64_t> missing,
            const std::vector<const float*>& floats) const;

  int64_t width() const { return width_; }
  const std::vector<int64_t>& widths() const { return widths_; }
  int64_t bytes_per_item() const { return entries_.slot_bytes() + static_cast<int64_t>(sizeof(uint32_t)); }
  ResultFigures figures() const;

 private:
  static constexpr int32_t kBorn = 0, kRow = 8, kUsed = 12, kFloats = 16;
  static constexpr uint32_t kNobody = UINT32_MAX;  // the row of an entry that is free

  std::atomic_ref<uint32_t> entry_of(uint32_t row) const {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(index_.at(row)));
  }
  const uint8_t* kept(uint32_t row, uint64_t born, uint64_t covered) const;
  std::shared_ptr<const ModelInputs::Names> names_behind(const ModelInputs& inputs);

  // With the mutex held.
  void cover(const Found& found);
  void make_room(int64_t entries);
  void retire(uint32_t entry);
  void reclaim();
  int64_t room() const { return entries_.free() + most_ - entries_.allocated(); }

  std::vector<std::string> names_;
  std::vector<int64_t> widths_;
  int64_t width_;
  Slots entries_;                     // entry 0 is none
  Slots index_;                       // row → entry
  std::atomic<uint64_t> covered_{0};  // rows that the index has
  int64_t most_;                      // entries
  Epochs epochs_;

  mutable std::mutex mutex_;
  uint32_t hand_ = 0;
  int64_t live_ = 0, evicted_ = 0;
  std::deque<std::pair<uint64_t, uint32_t>> retired_;
  std::mutex names_mutex_;
  /// Names of a plan's tensors → the same with ours behind them; few plans, and kept alive.
  std::map<std::shared_ptr<const ModelInputs::Names>, std::shared_ptr<const ModelInputs::Names>> behind_;
  std::atomic<int64_t> hits_{0}, misses_{0};
};

}  // namespace recserve::items
