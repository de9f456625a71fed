// The one data type of recserve: a Column is ragged rows of values, a Batch (batch.h) is columns by name.
//
//   scalar           list                      map                         nested
//   rows    3        rows     3                rows     2                  rows     2
//   values  a b c    offsets  0 2 2 3          offsets  0 1 3              offsets  0 2 3      (into inner
//   rows)
//                    values   a b c            keys     x y z              inner    0 1 3 4    (into values)
//                    = [a b] [] [c]            values   1 2 3              values   a b c d
//                                              = {x:1} {y:2 z:3}           = [[a][b c]] [[d]]
//
// The layout is Arrow's (offsets are int32, validity is a bit per row, least significant first), so a
// column crosses Arrow's C data interface without a copy (arrow.h). A column never changes once built and
// may be read by any number of threads.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "columns/error.h"

namespace recserve {

enum class Type : uint8_t { Int32, Int64, Float32, Float64, String };
enum class Shape : uint8_t { Scalar, List, Map, Nested };

const char* name_of(Type type);    // "int32", "int64", "float32", "float64", "string"
const char* name_of(Shape shape);  // "scalar", "list", "map", "nested"

/// Bytes per value; 0 for strings, which are offsets and bytes.
constexpr int64_t width_of(Type type) {
  switch (type) {
    case Type::Int32:
    case Type::Float32: return 4;
    case Type::Int64:
    case Type::Float64: return 8;
    case Type::String: return 0;
  }
  return 0;
}

template <class T>
constexpr Type type_of();
template <>
constexpr Type type_of<int32_t>() {
  return Type::Int32;
}
template <>
constexpr Type type_of<int64_t>() {
  return Type::Int64;
}
template <>
constexpr Type type_of<float>() {
  return Type::Float32;
}
template <>
constexpr Type type_of<double>() {
  return Type::Float64;
}

/// Read-only elements and whatever keeps their memory alive. Copying shares the memory.
template <class T>
class Array {
 public:
  Array() = default;
  Array(const T* data, int64_t size, std::shared_ptr<const void> owner)
      : data_(data), size_(size), owner_(std::move(owner)) {}
  /// Takes the vector over; no element is copied.
  Array(std::vector<T>&& elements) {  // NOLINT: implicit on purpose, a vector is an array's natural source
    auto owned = std::make_shared<const std::vector<T>>(std::move(elements));
    data_ = owned->data();
    size_ = static_cast<int64_t>(owned->size());
    owner_ = std::move(owned);
  }

  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T& operator[](int64_t i) const { return data_[i]; }
  std::span<const T> span() const { return {data_, static_cast<size_t>(size_)}; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  const T* data_ = nullptr;
  int64_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

/// Flat values of one type. Numbers: `data` holds size * width_of(type) bytes. Strings: value i is
/// data[offsets[i], offsets[i + 1]), UTF-8 or any bytes; `offsets` has size + 1 entries.
struct Values {
  Type type = Type::String;
  int64_t size = 0;
  Array<uint8_t> data;
  Array<int32_t> offsets;  // strings only

  template <class T>
  std::span<const T> as() const {
    assert(type == type_of<T>());
    return {reinterpret_cast<const T*>(data.data()), static_cast<size_t>(size)};
  }
  std::string_view text(int64_t i) const {
    assert(type == Type::String);
    return {reinterpret_cast<const char*>(data.data()) + offsets[i],
            static_cast<size_t>(offsets[i + 1] - offsets[i])};
  }
};

struct Column {
  Shape shape = Shape::Scalar;
  int64_t rows = 0;
  /// Values per row of a scalar column: 1, or D for a fixed-length vector (row i is values [i*D, i*D + D)).
  int32_t width = 1;
  /// One bit per row, set = present; empty = every row present. An empty string, list or map in a present
  /// row is missing too (docs/reference/missing.md): ask `missing(row)` rather than this.
  Array<uint8_t> valid;
  Array<int32_t> offsets;  // rows + 1; list, map: into values (and keys); nested: into inner rows
  Array<int32_t> inner;    // nested: inner rows + 1, into values
  Values keys;             // maps: as many as values; never a float type
  Values values;

  bool is_valid(int64_t row) const { return valid.empty() || ((valid[row >> 3] >> (row & 7)) & 1) != 0; }
  /// The row of this column that stands for `row` of the batch: a one-row column stands for all of them.
  int64_t row_for(int64_t row) const { return rows == 1 ? 0 : row; }
  /// Null, empty string, empty list or empty map: the FG sense of missing. `row` < rows.
  bool missing(int64_t row) const {
    if (!is_valid(row)) return true;
    if (shape != Shape::Scalar) return offsets[row] == offsets[row + 1];
    return width == 1 && values.type == Type::String && values.offsets[row] == values.offsets[row + 1];
  }
};

using ColumnPtr = std::shared_ptr<const Column>;

/// `rows` nulls of the given type and shape.
ColumnPtr missing_column(int64_t rows, Type type = Type::String, Shape shape = Shape::Scalar);

/// Scalar columns from what a caller has at hand; every row present.
ColumnPtr column_of(std::vector<int64_t> values);
ColumnPtr column_of(std::vector<float> values, int32_t width = 1);
ColumnPtr column_of(const std::vector<std::string_view>& values);

/// Rows `rows[i]` of `column` in that order; a negative row gives a null. Cost: one pass over what is taken.
ColumnPtr take(const Column& column, std::span<const int64_t> rows);

/// Throws DataError when offsets decrease, run past the values or sizes disagree. Called at the borders
/// (Arrow import, wire); the inside may rely on it.
void validate(const Column& column);

/// Memory for values, as the owner of Arrays.
template <class T>
Array<uint8_t> bytes_of(std::vector<T>&& values) {
  auto owned = std::make_shared<const std::vector<T>>(std::move(values));
  auto* data = reinterpret_cast<const uint8_t*>(owned->data());
  auto size = static_cast<int64_t>(owned->size() * sizeof(T));
  return Array<uint8_t>(data, size, std::move(owned));
}

template <class T>
Values values_of(std::vector<T>&& values) {
  auto size = static_cast<int64_t>(values.size());
  return Values{type_of<T>(), size, bytes_of(std::move(values)), {}};
}

/// Collects strings; `finish` hands them over as Values.
class StringsBuilder {
 public:
  void append(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    close();
  }
  /// For text put together in place: append to `bytes()`, then `close()` the value.
  std::vector<char>& bytes() { return bytes_; }
  void close() {
    if (bytes_.size() > INT32_MAX) throw DataError("a string column holds at most 2 GiB of text");
    offsets_.push_back(static_cast<int32_t>(bytes_.size()));
  }
  int64_t size() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  Values finish() {
    int64_t count = size();
    return Values{Type::String, count, bytes_of(std::move(bytes_)), Array<int32_t>(std::move(offsets_))};
  }

 private:
  std::vector<char> bytes_;
  std::vector<int32_t> offsets_{0};
};

/// Collects validity bits; `finish` is empty when every row was present.
class ValidBuilder {
 public:
  void append(bool present) {
    if ((rows_ & 7) == 0) bits_.push_back(0);
    if (present)
      bits_.back() |= static_cast<uint8_t>(1u << (rows_ & 7));
    else
      ++nulls_;
    ++rows_;
  }
  int64_t rows() const { return rows_; }
  Array<uint8_t> finish() { return nulls_ == 0 ? Array<uint8_t>() : Array<uint8_t>(std::move(bits_)); }

 private:
  std::vector<uint8_t> bits_;
  int64_t rows_ = 0;
  int64_t nulls_ = 0;
};

}  // namespace recserve
