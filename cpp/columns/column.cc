#include "columns/column.h"

#include <string>

namespace recserve {

const char* name_of(Type type) {
  static constexpr const char* names[] = {"int32", "int64", "float32", "float64", "string"};
  return names[static_cast<int>(type)];
}

const char* name_of(Shape shape) {
  static constexpr const char* names[] = {"scalar", "list", "map", "nested"};
  return names[static_cast<int>(shape)];
}

namespace {

Values empty_values(Type type, int64_t size) {
  if (type == Type::String) {
    return Values{type, size, {}, Array<int32_t>(std::vector<int32_t>(size + 1, 0))};
  }
  return Values{type, size, Array<uint8_t>(std::vector<uint8_t>(size * width_of(type), 0)), {}};
}

/// Values `picked[i]` in that order; a negative index gives zero or the empty string.
Values take_values(const Values& values, std::span<const int64_t> picked) {
  auto size = static_cast<int64_t>(picked.size());
  if (values.type == Type::String) {
    StringsBuilder texts;
    for (int64_t i : picked) texts.append(i < 0 ? std::string_view() : values.text(i));
    return texts.finish();
  }
  const int64_t width = width_of(values.type);
  std::vector<uint8_t> bytes(size * width, 0);
  for (int64_t i = 0; i < size; ++i) {
    if (picked[i] >= 0) std::memcpy(&bytes[i * width], values.data.data() + picked[i] * width, width);
  }
  return Values{values.type, size, Array<uint8_t>(std::move(bytes)), {}};
}

/// Offsets of the picked rows, and in `elements` the elements that they cover.
std::vector<int32_t> take_ranges(const Array<int32_t>& offsets, std::span<const int64_t> rows,
                                 std::vector<int64_t>& elements) {
  std::vector<int32_t> taken{0};
  taken.reserve(rows.size() + 1);
  for (int64_t row : rows) {
    if (row >= 0) {
      for (int64_t e = offsets[row]; e < offsets[row + 1]; ++e) elements.push_back(e);
    }
    taken.push_back(static_cast<int32_t>(elements.size()));
  }
  return taken;
}

void check_offsets(const Array<int32_t>& offsets, int64_t rows, int64_t end, const char* what) {
  if (offsets.size() != rows + 1) throw DataError(std::string(what) + " do not fit the rows");
  if (offsets[0] < 0 || offsets[rows] > end) throw DataError(std::string(what) + " run past the values");
  const int32_t* at = offsets.data();
  bool decrease = false;  // no branch in the loop: it is walked for every batch, several offsets at a time
  for (int64_t i = 0; i < rows; ++i) decrease |= at[i + 1] < at[i];
  if (decrease) throw DataError(std::string(what) + " decrease");
}

void check_values(const Values& values) {
  if (values.type == Type::String) {
    check_offsets(values.offsets, values.size, values.data.size(), "string offsets");
  } else if (values.data.size() < values.size * width_of(values.type)) {
    throw DataError("values are cut short");
  }
}

}  // namespace

ColumnPtr missing_column(int64_t rows, Type type, Shape shape) {
  auto column = std::make_shared<Column>();
  column->shape = shape;
  column->rows = rows;
  column->valid = Array<uint8_t>(std::vector<uint8_t>((rows + 7) / 8, 0));
  if (rows == 0) column->valid = {};
  if (shape != Shape::Scalar) column->offsets = Array<int32_t>(std::vector<int32_t>(rows + 1, 0));
  if (shape == Shape::Nested) column->inner = Array<int32_t>(std::vector<int32_t>(1, 0));
  if (shape == Shape::Map) column->keys = empty_values(Type::String, 0);
  column->values = empty_values(type, shape == Shape::Scalar ? rows : 0);
  return column;
}

ColumnPtr column_of(std::vector<int64_t> values) {
  auto column = std::make_shared<Column>();
  column->rows = static_cast<int64_t>(values.size());
  column->values = values_of(std::move(values));
  return column;
}

ColumnPtr column_of(std::vector<float> values, int32_t width) {
  auto column = std::make_shared<Column>();
  column->rows = static_cast<int64_t>(values.size()) / width;
  column->width = width;
  column->values = values_of(std::move(values));
  return column;
}

ColumnPtr column_of(const std::vector<std::string_view>& values) {
  StringsBuilder texts;
  for (auto text : values) texts.append(text);
  auto column = std::make_shared<Column>();
  column->rows = static_cast<int64_t>(values.size());
  column->values = texts.finish();
  return column;
}

ColumnPtr take(const Column& column, std::span<const int64_t> rows) {
  auto taken = std::make_shared<Column>();
  taken->shape = column.shape;
  taken->rows = static_cast<int64_t>(rows.size());
  taken->width = column.width;
  ValidBuilder valid;
  for (int64_t row : rows) valid.append(row >= 0 && column.is_valid(row));
  taken->valid = valid.finish();

  std::vector<int64_t> elements;
  switch (column.shape) {
    case Shape::Scalar:
      elements.reserve(rows.size() * column.width);
      for (int64_t row : rows) {
        for (int32_t i = 0; i < column.width; ++i) elements.push_back(row < 0 ? -1 : row * column.width + i);
      }
      break;
    case Shape::List:
    case Shape::Map: taken->offsets = take_ranges(column.offsets, rows, elements); break;
    case Shape::Nested: {
      std::vector<int64_t> inner_rows;
      taken->offsets = take_ranges(column.offsets, rows, inner_rows);
      taken->inner = take_ranges(column.inner, inner_rows, elements);
      break;
    }
  }
  if (column.shape == Shape::Map) taken->keys = take_values(column.keys, elements);
  taken->values = take_values(column.values, elements);
  return taken;
}

void validate(const Column& column) {
  if (!column.valid.empty() && column.valid.size() * 8 < column.rows)
    throw DataError("validity is cut short");
  check_values(column.values);
  switch (column.shape) {
    case Shape::Scalar:
      if (column.values.size != column.rows * column.width) throw DataError("values do not fit the rows");
      break;
    case Shape::Map:
      check_values(column.keys);
      if (column.keys.size != column.values.size) throw DataError("a map has as many keys as values");
      [[fallthrough]];
    case Shape::List: check_offsets(column.offsets, column.rows, column.values.size, "list offsets"); break;
    case Shape::Nested:
      if (column.inner.empty()) throw DataError("a nested column needs inner offsets");
      check_offsets(column.inner, column.inner.size() - 1, column.values.size, "inner offsets");
      check_offsets(column.offsets, column.rows, column.inner.size() - 1, "list offsets");
      break;
  }
}

}  // namespace recserve
