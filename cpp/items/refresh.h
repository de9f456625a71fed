// A full refresh of one table as a streamed diff: what is equal stays, the rest is written, what did not come
// is told at the end.
//
//   batches of the table ──hash_rows──▶ changed ──▶ prepare ──▶ publish ──▶ … ──▶ unseen ──▶ remove
//
// A bit per slot says which rows the table has named. A row that anybody rewrites takes its bit along.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "items/hash.h"
#include "items/store.h"

namespace recserve::items {

struct RefreshFigures {
  int64_t seen = 0;        // rows that the table has and the store has, too
  int64_t unchanged = 0;   // of them: equal to what was stored
  int64_t written = 0;     // rows that were published
  int64_t repeated = 0;    // rows that lost to another one of their key
  int64_t protected_ = 0;  // rows that lost to something fresher
};

/// One refresh of one table; several may be open, with upserts and deletes by anybody going on. Every method
/// may be called from any thread; they take the writers' mutex for short times.
///
/// Of equal keys the row with the greatest order wins, of equal orders the one that is asked for last. That
/// holds inside a batch, against rows written before and against rows in flight: a row that has lost while it
/// was prepared is dropped when it is published.
class Refresh {
 public:
  /// `hash_column`: a raw int64 column without a limit, which holds what `hash_rows` gave for the table's
  /// part of the row, and is present exactly when the table has the key. Throws DataError for another.
  Refresh(ItemStore& store, const std::string& hash_column);
  Refresh(const Refresh&) = delete;
  Refresh& operator=(const Refresh&) = delete;
  ~Refresh();

  /// 1 for each row that must be written: prepare all of these rows, and only these, with their hash in
  /// `hash_column`, and publish them for this refresh. 0: equal to what is stored (seen from now on),
  /// protected, or another row of its key wins. `hashes`: int64; `order`: integers, a null is the least;
  /// null: all are equal. Throws DataError for a null or empty key, for a null hash and for other types.
  std::vector<uint8_t> changed(const Column& keys, const Column& hashes, const Column* order);
  /// Somebody fresher has written or deleted these: from now on the refresh neither writes nor lists them.
  /// Memory: the keys.
  void protect(const Column& keys);
  RefreshFigures figures() const;

  /// A walk over the keys of all rows in which `hash_column` is present and that were not seen, each once.
  /// Rows may be written and deleted meanwhile. One walk at a time.
  class Unseen {
   public:
    explicit Unseen(Refresh& refresh);
    /// The next `rows` keys; null behind the last one.
    ColumnPtr next(int64_t rows);

   private:
    Refresh& refresh_;
    uint64_t at_ = 0;
    int64_t generation_ = -1;  // of the index that `at_` counts in: in another one the walk begins again
  };

 private:
  friend class Compactor;
  friend class ItemStore;

  struct HashBytes {
    using is_transparent = void;
    size_t operator()(std::string_view bytes) const { return hash_bytes(bytes); }
  };
  /// Rows of one key that were changed and are not published yet.
  struct InFlight {
    int64_t order;
    int64_t hash;  // of the one that wins
    int64_t rows;
  };

  // For the store, which holds its mutex.

  /// Throws DataError when a row that is to be published for this refresh has no hash.
  void check_hash(std::span<const uint32_t> rows) const;
  /// Asked for every row that is published for this refresh: 0 when it has lost meanwhile.
  bool lands(std::string_view key, const uint8_t* slot);
  /// `row` has replaced `old` (0: nothing). Tells the row's bit in any case: slots are used again.
  void follow(uint32_t old, uint32_t row, bool ours);

  bool decide(std::string_view key, int64_t hash, int64_t order, uint32_t row);
  bool keep(uint32_t row, int64_t order);
  bool stored(uint32_t row, int64_t hash) const;
  bool has_hash(const uint8_t* slot) const;
  bool seen(uint32_t row) const;
  void mark(uint32_t row, bool seen, int64_t order);
  bool unseen(uint32_t row) const;

  ItemStore& store_;
  const Field* hash_;
  std::vector<uint64_t> seen_;    // a bit for each slot
  std::vector<uint64_t> listed_;  // the same: rows that the walk has given out
  std::vector<int64_t> orders_;   // of seen slots, once there was an order; those behind the end have none
  std::unordered_map<std::string, InFlight, HashBytes, std::equal_to<>> in_flight_;
  std::unordered_set<std::string, HashBytes, std::equal_to<>> protected_;
  int64_t landed_order_ = 0;  // between `lands` and `follow`
  RefreshFigures figures_;
};

}  // namespace recserve::items
