#include "tests/drawn_columns.h"

#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

namespace recserve::testing {

namespace {

constexpr std::array<std::string_view, 40> kTexts = {
    "",      "a",        "b",     "0",        "1",       "-1",        "7",
    "1.5",   "a:0.5",    "a:1",   "b:-2",     "k^a:1",   "k^a:1,b:2", "true",
    "false", "nan",      "inf",   "1e400",    " 5 ",     "+01",       "a_b",
    "中文",  "é",        "ABC",   "abc",      "ALL",     "0x10",      "1e-3",
    "a|b",   "a,b",      ";",     ":",        "^",       "-0",        "9223372036854775808",
    "a:x",   "\xff\xfe", "a:b:c", "k2^ALL:4", "16777217"};
constexpr std::array<std::string_view, 5> kSeparators = {"\x1d", "|", ",", ";", "#"};

template <class T>
Values draw_values(Bytes& bytes, int64_t size) {
  std::vector<T> values;
  for (int64_t i = 0; i < size; ++i) values.push_back(draw_number<T>(bytes));
  return values_of(std::move(values));
}

Values draw_values(Bytes& bytes, Type type, int64_t size) {
  switch (type) {
    case Type::Int32: return draw_values<int32_t>(bytes, size);
    case Type::Int64: return draw_values<int64_t>(bytes, size);
    case Type::Float32: return draw_values<float>(bytes, size);
    case Type::Float64: return draw_values<double>(bytes, size);
    case Type::String: break;
  }
  StringsBuilder texts;
  for (int64_t i = 0; i < size; ++i) texts.append(draw_text(bytes));
  return texts.finish();
}

Array<int32_t> draw_offsets(Bytes& bytes, int64_t rows) {
  std::vector<int32_t> offsets{0};
  for (int64_t i = 0; i < rows; ++i) offsets.push_back(offsets.back() + static_cast<int32_t>(bytes.below(4)));
  return offsets;
}

template <class T>
bool same_number(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) && std::isnan(b)) return true;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

bool same_value(const Values& a, int64_t i, const Values& b, int64_t j) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case Type::Int32: return a.as<int32_t>()[i] == b.as<int32_t>()[j];
    case Type::Int64: return a.as<int64_t>()[i] == b.as<int64_t>()[j];
    case Type::Float32: return same_number(a.as<float>()[i], b.as<float>()[j]);
    case Type::Float64: return same_number(a.as<double>()[i], b.as<double>()[j]);
    case Type::String: return a.text(i) == b.text(j);
  }
  return false;
}

struct Span {
  int64_t begin;
  int64_t end;
};

/// The inner rows of a nested row, else its values.
Span span_of(const Column& column, int64_t row) {
  if (column.shape != Shape::Scalar) return {column.offsets[row], column.offsets[row + 1]};
  return {row * column.width, row * column.width + column.width};
}

bool same_values(const Column& a, Span in_a, const Column& b, Span in_b) {
  if (in_a.end - in_a.begin != in_b.end - in_b.begin) return false;
  for (int64_t k = 0; k < in_a.end - in_a.begin; ++k) {
    if (!same_value(a.values, in_a.begin + k, b.values, in_b.begin + k)) return false;
    if (a.shape == Shape::Map && !same_value(a.keys, in_a.begin + k, b.keys, in_b.begin + k)) return false;
  }
  return true;
}

}  // namespace

std::string draw_text(Bytes& bytes) {
  if (bytes.one_in(16)) return bytes.raw(12);
  std::string text(kTexts[bytes.below(kTexts.size())]);
  for (size_t more = bytes.below(6); more > 3; --more) {
    text += kSeparators[bytes.below(kSeparators.size())];
    text += kTexts[bytes.below(kTexts.size())];
  }
  return text;
}

template <class T>
T draw_number(Bytes& bytes) {
  if (bytes.one_in(8)) return bytes.bits<T>();
  if (bytes.one_in(8))
    return bytes.one_of({std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest(), T{0}});
  const int small = static_cast<int>(bytes.below(16)) - 4;
  return std::is_floating_point_v<T> && bytes.one_in(2) ? static_cast<T>(small) / 10 : static_cast<T>(small);
}

template int32_t draw_number<int32_t>(Bytes&);
template int64_t draw_number<int64_t>(Bytes&);
template float draw_number<float>(Bytes&);
template double draw_number<double>(Bytes&);

ColumnPtr draw_column(Bytes& bytes, int64_t rows) {
  Column column;
  column.rows = rows;
  const auto type =
      bytes.one_of({Type::String, Type::String, Type::Int64, Type::Float32, Type::Int32, Type::Float64});
  column.shape = bytes.one_of({Shape::Scalar, Shape::Scalar, Shape::List, Shape::Map, Shape::Nested});
  int64_t size = rows;
  if (column.shape == Shape::Scalar) {
    if (type != Type::String && bytes.one_in(8)) column.width = 2;
    size *= column.width;
  } else {
    column.offsets = draw_offsets(bytes, rows);
    size = column.offsets[rows];
  }
  if (column.shape == Shape::Nested) {
    column.inner = draw_offsets(bytes, size);
    size = column.inner[size];
  }
  if (column.shape == Shape::Map) {
    column.keys = draw_values(bytes, bytes.one_of({Type::String, Type::Int64, Type::Int32}), size);
  }
  column.values = draw_values(bytes, type, size);
  ValidBuilder valid;
  for (int64_t i = 0; i < rows; ++i) valid.append(!bytes.one_in(6));
  column.valid = valid.finish();
  validate(column);
  return std::make_shared<const Column>(std::move(column));
}

bool same_row(const Column& a, int64_t i, const Column& b, int64_t j) {
  if (a.shape != b.shape || a.is_valid(i) != b.is_valid(j)) return false;
  if (!a.is_valid(i)) return true;
  const Span in_a = span_of(a, i);
  const Span in_b = span_of(b, j);
  if (a.shape != Shape::Nested) return same_values(a, in_a, b, in_b);
  if (in_a.end - in_a.begin != in_b.end - in_b.begin) return false;
  for (int64_t k = 0; k < in_a.end - in_a.begin; ++k) {
    const int64_t p = in_a.begin + k;
    const int64_t q = in_b.begin + k;
    if (!same_values(a, {a.inner[p], a.inner[p + 1]}, b, {b.inner[q], b.inner[q + 1]})) return false;
  }
  return true;
}

}  // namespace recserve::testing
