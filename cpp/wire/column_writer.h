// Builds one column from the cells of a request, casting what has another type than the column.
#pragma once

#include <vector>

#include "wire/block.h"
#include "wire/column_type.h"

namespace recserve::wire {

/// Collects values of one type from numbers and texts.
///
/// | from \ to | int32, int64                        | float32, float64 | string               |
/// |-----------|-------------------------------------|------------------|----------------------|
/// | integer   | itself, if it fits                  | rounded          | decimal              |
/// | float     | cut toward zero, if finite and fits | rounded          | columns/text.h, %.6g |
/// | text      | parsed; "2.7" as a float            | parsed           | itself               |
class ValuesWriter {
 public:
  /// Begins values of that type. A writer keeps its memory from column to column.
  void start(Type type);

  /// False, and nothing appended, when the scalar has no value of this type.
  bool append(const Scalar& scalar);
  void append_pair(const Pair& pair);  // as the text "key:value"; string values only
  void append_zero();                  // 0 or the empty text: what stands under a null
  void pop();                          // takes the last value back
  int64_t size() const { return size_; }
  Values finish(Block& block) const;

 private:
  template <class T>
  bool put(T number);
  bool put_text(std::string_view text);
  bool append_whole(int64_t number);
  bool append_real(double number);
  bool append_text(std::string_view text);
  void write(std::string_view text);
  void write_text(const Scalar& scalar);

  Type type_ = Type::String;
  int64_t size_ = 0;
  std::vector<uint8_t> data_;
  std::vector<int32_t> offsets_;  // strings only
};

/// `start`, one `append` per row, `finish`; then the next column. A missing cell becomes a null, whatever it
/// was sent as.
class ColumnWriter {
 public:
  void start(const ColumnType& type, int64_t rows);
  void append(const Cell& cell);
  /// The column, its memory taken from `block`.
  ColumnPtr finish(Block& block);

  /// Values that the column's type cannot hold: a null in a scalar column, left out elsewhere.
  int64_t unparsable() const { return unparsable_; }
  bool has_null() const { return !valid_.empty(); }

 private:
  bool append_scalar(const Cell& cell);
  bool append_list(const Cell& cell);
  bool append_map(const Cell& cell);
  bool append_nested(const Cell& cell);
  void append_value(const Scalar& scalar);
  void close_inner();
  void set_null(int64_t row);

  ColumnType type_;
  int64_t rows_ = 0;
  int64_t row_ = 0;
  int64_t unparsable_ = 0;
  ValuesWriter values_;
  ValuesWriter keys_;  // maps only
  std::vector<int32_t> offsets_;
  std::vector<int32_t> inner_;
  std::vector<uint8_t> valid_;  // empty until the first null
  std::vector<Pair> pairs_;
};

}  // namespace recserve::wire
