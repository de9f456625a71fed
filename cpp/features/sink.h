// Where a kernel puts its results: each value goes through its feature's Rules and ends in a column. On the
// way to a hash no string is made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "columns/column.h"
#include "features/cells.h"
#include "features/counts.h"
#include "features/rules.h"

namespace recserve {

/// Collects the rows of one result. A kernel emits the values of a row, then calls `end_row`:
///
///   sink.text("a"); sink.text("b"); sink.end_row();    [id(a) id(b)]
///   sink.end_row();                                    [default], or [] without one; dense: 0.0
///
/// A row that exceeds value_dim drops the surplus; `full()` lets a kernel stop early. Lives on the stack of
/// one evaluation.
class Sink {
 public:
  Sink(const Rules& rules, int64_t rows, Counts& counts);
  Sink(const Sink&) = delete;  // `counts` points at its row
  Sink& operator=(const Sink&) = delete;

  const Rules& rules() const { return rules_; }
  bool full() const { return limit_ != 0 && row_values_ == limit_; }

  /// Tokens of a discrete feature; `prefix` is put before all but those that num_buckets reads as integers.
  void token(std::string_view text, float weight = 1);
  void token(int64_t integer, float weight = 1);
  void token(double number, float weight = 1);
  void token(float number, float weight = 1) { token(static_cast<double>(number), weight); }

  /// As `token`, for a kernel that has made the full token: `bare` is what num_buckets reads and what a
  /// vocabulary is asked for when it lacks `full`.
  void token_or(std::string_view full, std::string_view bare);

  /// Results of a numeric feature (of a discrete one: tokens, as text). A number of a numeric column is
  /// float32 from here on (unless value_type is wider); one that was text, or that a formula computed, is a
  /// double until the normalizer has seen it.
  void number(float number);
  void number(double number);
  void number(int64_t number);
  void parsed(double number);
  /// A result that no normalizer sees.
  void plain(double number) { append(number); }

  /// A cell of this row is not what it must be: its numbers so far are dropped, the row is missing.
  void drop_row();
  void end_row();
  Counts& counts() { return counts_; }

  /// The rows, as a column:
  ///   ids     scalar int64 (`single`), list int64, or map int64 -> float32 (weighted); before the bucketizer
  ///           the same of texts or numbers
  ///   texts   list string, or map string -> float32 (weighted)
  ///   numbers scalar of `width`, float32, float64 or int64 by value_type
  Column finish();

 private:
  void put(std::string_view text, float weight);
  void put_id(int64_t id, float weight);
  void append(double number);
  void append_integer(int64_t number);
  void append_default();
  void append_null();
  Values numbers();

  const Rules& rules_;
  Counts& counts_;
  const bool makes_ids_;
  const Bucketizer::Kind kind_;
  const int64_t limit_;
  int64_t rows_ = 0;
  int64_t row_values_ = 0;
  std::string prefixed_;  // the prefix, then the token at hand
  std::vector<int32_t> offsets_;
  std::vector<int64_t> ids_;  // or numbers of an integer value_type
  std::vector<float> floats_;
  std::vector<double> doubles_;
  std::vector<float> weights_;
  StringsBuilder texts_;
  ValidBuilder valid_;
};

}  // namespace recserve
