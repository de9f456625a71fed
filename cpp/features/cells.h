// What a kernel reads: the cells of one input, row by row (docs/reference/features.md).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "columns/column.h"
#include "columns/text.h"

namespace recserve {

/// One input of an evaluation over `rows` rows. The column has that many rows, or one that stands for all of
/// them, or `rows` tells for each row which row of the column it reads (elements of a sequence).
///
///   evaluation row   0  1  2  3
///   rows             2  0 -1  2     -> cells c a (missing) c of a column a b c
struct Cells {
  const Column* column = nullptr;
  const int64_t* rows = nullptr;      // null: row i reads row i; -1: missing
  bool produced = false;              // the result of another feature: its texts are cut at `separator` again
  const std::string* name = nullptr;  // of the column or the feature, for messages

  /// Every row reads the same cell: prepare it once, before the loop over rows.
  bool constant() const { return rows == nullptr && column->rows == 1; }
  int64_t at(int64_t i) const { return rows != nullptr ? rows[i] : column->row_for(i); }
  bool missing(int64_t i) const {
    int64_t row = at(i);
    return row < 0 || column->missing(row);
  }
};

/// Positions in Column::values.
struct Range {
  int64_t begin;
  int64_t end;
};

/// The values of a present row; the elements of a nested row one after the other.
inline Range entries(const Column& column, int64_t row) {
  switch (column.shape) {
    case Shape::Scalar: return {row * column.width, (row + 1) * column.width};
    case Shape::List:
    case Shape::Map: return {column.offsets[row], column.offsets[row + 1]};
    case Shape::Nested: return {column.inner[column.offsets[row]], column.inner[column.offsets[row + 1]]};
  }
  return {0, 0};
}

/// What a cell's tokens are: a map's keys, or else the values.
inline const Values& tokens_of(const Column& column) {
  return column.shape == Shape::Map ? column.keys : column.values;
}

/// Calls `each` with a string_view, an int64_t, a float or a double for every value in the range.
template <class Each>
void for_each_entry(const Values& values, Range range, Each&& each) {
  switch (values.type) {
    case Type::String:
      for (int64_t p = range.begin; p < range.end; ++p) each(values.text(p));
      return;
    case Type::Int32:
      for (int64_t p = range.begin; p < range.end; ++p) each(int64_t{values.as<int32_t>()[p]});
      return;
    case Type::Int64:
      for (int64_t p = range.begin; p < range.end; ++p) each(values.as<int64_t>()[p]);
      return;
    case Type::Float32:
      for (int64_t p = range.begin; p < range.end; ++p) each(values.as<float>()[p]);
      return;
    case Type::Float64:
      for (int64_t p = range.begin; p < range.end; ++p) each(values.as<double>()[p]);
      return;
  }
}

/// The tokens of cell `i`, each as a string_view, int64_t, float or double: a scalar string is
/// cut at `separator`, an array gives its non-empty entries, a map its keys. A missing cell has none.
///
/// The texts of another feature are cut each, however many there are: they stand for one text, \x1d between
/// them, which its reader cuts at a separator of its own ("1,2" of NAME__lookup at the `,` of NAME).
template <class Each>
void for_each_token(const Cells& cells, int64_t i, char separator, Each&& each) {
  if (cells.missing(i)) return;
  const Column& column = *cells.column;
  const int64_t row = cells.at(i);
  const Values& values = tokens_of(column);
  if (values.type != Type::String) return for_each_entry(values, entries(column, row), each);
  const bool cut = cells.produced || (column.shape == Shape::Scalar && column.width == 1);
  const Range range = entries(column, row);
  for (int64_t p = range.begin; p < range.end; ++p) {
    std::string_view text = values.text(p);
    if (cut) {
      for_each_value(text, separator, each);
    } else if (!text.empty()) {
      each(text);
    }
  }
}

/// Calls `use(text)` with a token as text: numbers as `format` of columns/text.h writes them.
template <class Use>
void with_text(std::string_view token, Use&& use) {
  use(token);
}
template <class Use>
void with_text(int64_t token, Use&& use) {
  char buffer[kNumberChars];
  use(format(token, buffer));
}
template <class Use>
void with_text(double token, Use&& use) {
  char buffer[kNumberChars];
  use(format(token, buffer));
}
template <class Use>
void with_text(float token, Use&& use) {
  with_text(static_cast<double>(token), use);
}

/// The tokens of cell `i` as text. A number's text lives only during the call.
template <class Each>
void for_each_text(const Cells& cells, int64_t i, char separator, Each&& each) {
  for_each_token(cells, i, separator, [&](auto token) { with_text(token, each); });
}

/// The tokens of one cell as texts: views into the column, and numbers written out here. `read` keeps the
/// memory, so that one Tokens serves all rows.
class Tokens {
 public:
  void read(const Cells& cells, int64_t i, char separator) {
    texts_.clear();
    size_t numbers = 0;
    for_each_token(cells, i, separator, [&]<class T>(T token) {
      if constexpr (std::is_same_v<T, std::string_view>) {
        texts_.push_back(token);
      } else {
        if (numbers == numbers_.size()) numbers_.emplace_back();
        std::string& number = numbers_[numbers++];
        with_text(token, [&](std::string_view text) { number = text; });
        texts_.push_back(number);
      }
    });
  }
  size_t size() const { return texts_.size(); }
  bool empty() const { return texts_.empty(); }
  std::string_view operator[](size_t i) const { return texts_[i]; }

 private:
  std::vector<std::string_view> texts_;
  std::deque<std::string> numbers_;  // a deque: views into it stay good while it grows
};

}  // namespace recserve
