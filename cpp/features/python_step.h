// A kernel around a function that the core does not have: a regular expression, a tokenizer, an operator of a
// user's own (docs/reference/features.md). It is called for values that it has not seen before, and for many
// at once.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "features/kernel.h"
#include "features/memo.h"

namespace recserve {

/// Whole columns in, one column out. Pure: row i of the result depends on row i of the columns only, and
/// equal rows give equal results. Called by many threads at once.
class BatchFunction {
 public:
  virtual ~BatchFunction() = default;
  /// `columns` have `rows` rows each, and so has the result, whose memory is its own: a scalar or a list of
  /// texts or numbers per row, null where there is none.
  virtual ColumnPtr run(std::span<const ColumnPtr> columns, int64_t rows) const = 0;
};

/// What a step's function is applied to, and so what its results are remembered by.
///
///   unit    cell             the function sees        result of the row
///   Token   "a\x1db"         a, b: two texts          f(a) and f(b), one after the other
///   Text    "a\x1db"         a\x1db: one text         f(a\x1db); a list is an error
///   Cells   7 and [x y]      a row of two columns     f(7, [x y]), with null for what is missing
enum class Unit : uint8_t { Token, Text, Cells };

/// Inputs: one; unit Cells: any number. A row's result is what the function gives for its values, without
/// empty texts; a discrete feature takes it as tokens, another as numbers. Threads share what was computed;
/// when two ask for the same new value at once, both compute it.
class PythonStep : public Kernel {
 public:
  struct Bounds {
    int64_t keys = 1 << 18;
    int64_t bytes = 64 << 20;
  };

  /// `stand_in` is a text that the function is applied to where a row has no result: a default that is no
  /// result itself. Empty: none.
  PythonStep(std::shared_ptr<const BatchFunction> function, Unit unit, char separator,
             const std::string& stand_in, Bounds bounds);
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

  /// What is remembered at the moment.
  const Memo& memo() const { return memo_; }

 private:
  class Run;
  ColumnPtr call(std::span<const ColumnPtr> columns, int64_t rows) const;

  std::shared_ptr<const BatchFunction> function_;
  Unit unit_;
  char separator_;
  ColumnPtr stand_in_;  // the result of that text, one row
  // What was computed is no state that a caller could notice: `run` is const.
  mutable Memo memo_;
};

}  // namespace recserve
