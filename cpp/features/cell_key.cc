#include "features/cell_key.h"

namespace recserve {

namespace {

constexpr char kMissing = '\0';

void append_count(int64_t count, std::string& key) {
  key.append(reinterpret_cast<const char*>(&count), sizeof count);
}

void append_values(const Values& values, Range range, std::string& key) {
  key.push_back(static_cast<char>(values.type));
  append_count(range.end - range.begin, key);
  if (values.type != Type::String) {
    const int64_t width = width_of(values.type);
    key.append(reinterpret_cast<const char*>(values.data.data()) + range.begin * width,
               (range.end - range.begin) * width);
    return;
  }
  for (int64_t p = range.begin; p < range.end; ++p) {
    const std::string_view text = values.text(p);
    append_count(static_cast<int64_t>(text.size()), key);
    key.append(text);
  }
}

}  // namespace

void append_key(const Cells& cells, int64_t i, std::string& key) {
  if (cells.missing(i)) {
    key.push_back(kMissing);
    return;
  }
  const Column& column = *cells.column;
  const int64_t row = cells.at(i);
  key.push_back(static_cast<char>(1 + static_cast<int>(column.shape)));
  if (column.shape == Shape::Nested) {
    append_count(column.offsets[row + 1] - column.offsets[row], key);
    for (int64_t e = column.offsets[row]; e < column.offsets[row + 1]; ++e) {
      append_values(column.values, {column.inner[e], column.inner[e + 1]}, key);
    }
    return;
  }
  const Range range = entries(column, row);
  if (column.shape == Shape::Map) append_values(column.keys, range, key);
  append_values(column.values, range, key);
}

}  // namespace recserve
