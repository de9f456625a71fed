// Remembers what a slow function of one value gave, for as many values as fit.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "columns/column.h"

namespace recserve {

/// Results by key. Shared by threads; a reader holds one lock for all of its keys.
///
///   keys      "red" ──▶ 0 ─┐        "blue" ──▶ 0 ─┐
///             "tan" ──▶ 1 ─┤                      │
///   results              [r0 r1]               [r0]        one column per `add`
///
/// It starts over when it is full: a value that is asked for again and again is then computed once per
/// filling, as it would be if the oldest were dropped one by one.
class Memo {
 public:
  /// One row of a column.
  struct Result {
    const Column* column = nullptr;
    int64_t row = 0;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };
  using Results = std::unordered_map<std::string, Result, Hash, std::equal_to<>>;

  Memo(int64_t max_keys, int64_t max_bytes) : max_keys_(max_keys), max_bytes_(max_bytes) {}

  /// Calls `visit(results)` while nobody adds. What it returns keeps the columns of the results alive.
  /// `visit` must not wait for anything: readers that hold an interpreter wait for the lock.
  template <class Visit>
  std::shared_ptr<const void> read(Visit&& visit) const {
    {
      const std::lock_guard turn(turnstile_);
    }
    const std::shared_lock lock(mutex_);
    visit(static_cast<const Results&>(page_->results));
    return page_;
  }

  /// Remembers row i of `column` as the result of `keys[i]`, unless that is more than fits at all. A key that
  /// is there already keeps its result. The column's memory must be its own.
  void add(std::vector<std::string> keys, ColumnPtr column);

  int64_t keys() const;
  int64_t bytes() const;

 private:
  struct Page {
    Results results;
    std::vector<ColumnPtr> columns;
    int64_t bytes = 0;
  };

  int64_t max_keys_;
  int64_t max_bytes_;
  mutable std::mutex turnstile_;  // a writer in it holds new readers back: without it they could starve it
  mutable std::shared_mutex mutex_;
  std::shared_ptr<Page> page_ = std::make_shared<Page>();
};

}  // namespace recserve
