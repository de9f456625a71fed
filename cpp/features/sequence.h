// Sequences: a cell cut into elements, elements evaluated as rows, results put together again
// (docs/reference/features.md).
//
//   cells                "a;b;;c"        ""            two rows
//   elements             a b (missing) c               four rows of a plain column
//   the plain kernel     1 2  default  3  default      five: an empty sequence is one default element
//   regrouped            [1 2 default 3]  [default]
#pragma once

#include <span>
#include <string>
#include <vector>

#include "features/cells.h"

namespace recserve {

/// How the cells of a sequence are cut.
struct SequenceRule {
  std::string delimiter = ";";
  int64_t length = 0;  // elements kept, from the front; 0: all
};

/// A sequence column as elements: those of row r are rows [offsets[r], offsets[r + 1]) of `column`.
struct Elements {
  ColumnPtr column;
  std::vector<int32_t> offsets;

  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// Text is cut at the delimiter, empty pieces staying as missing elements; an array has one element per entry
/// (a string to be cut into values again, or an array of values); a lone number is one element; a missing
/// cell has none. Shares the column's memory but for text that is cut. RequestError for a map.
Elements split(const ColumnPtr& column, const SequenceRule& rule, const std::string& name);

/// The elements of all sequence inputs side by side, as rows for a kernel.
class Alignment {
 public:
  /// `sequences` have `rows` rows or one. A row has as many elements as its longest sequence; where a shorter
  /// one has ended, and in the one default element of an empty row, elements are missing (-1). With
  /// `broadcast`, the element of a sequence that has one stands for all of its row.
  Alignment(std::span<const Elements> sequences, int64_t rows, int64_t length, bool broadcast);

  /// Leaves out the elements that are not `kept`; a row without any has one, which is missing. What `rows_of`
  /// and `row_of_elements` gave stays in place and is shorter.
  void keep(const std::vector<bool>& kept);

  int64_t elements() const { return offsets_.back(); }
  /// The row that an element belongs to. Cost: a binary search.
  int64_t row_of(int64_t element) const;
  /// For sequence k, the row of its element column that element i reads.
  const int64_t* rows_of(size_t k) const { return maps_[k].data(); }
  /// For an input that is no sequence: the row that element i belongs to.
  const int64_t* row_of_elements();
  std::vector<int32_t> take_offsets() { return std::move(offsets_); }

 private:
  std::vector<int32_t> offsets_{0};
  std::vector<std::vector<int64_t>> maps_;
  std::vector<int64_t> row_of_;
};

/// Puts results, one row per element, back into rows:
///
///   results                       sequence
///   scalar (one id, one number)   list
///   scalar of width D > 1, list   nested
///
/// Shares the results' memory.
ColumnPtr regroup(const Column& results, std::vector<int32_t> offsets);

}  // namespace recserve
