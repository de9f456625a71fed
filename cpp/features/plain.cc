#include "features/plain.h"

#include <algorithm>
#include <bit>

#include "features/plain_rows.h"

namespace recserve {

namespace {

/// Some text is empty. Without a branch in it, the loop compares several at a time.
bool has_empty(const Values& texts) {
  const int32_t* offsets = texts.offsets.data();
  bool found = false;
  for (int64_t i = 0; i < texts.size; ++i) found |= offsets[i] == offsets[i + 1];
  return found;
}

/// Appends the rows in which one input is missing.
void add_missing(const Cells& cells, int64_t rows, std::vector<int64_t>& missing) {
  const Column& column = *cells.column;
  const bool scalar = column.shape == Shape::Scalar && column.width == 1;
  const bool text = column.values.type == Type::String;
  if (cells.rows != nullptr || column.rows != rows || !scalar || (text && has_empty(column.values))) {
    for (int64_t i = 0; i < rows; ++i) {
      if (cells.missing(i)) missing.push_back(i);
    }
    return;
  }
  if (column.valid.empty()) return;
  // Eight rows at a time: mostly all of them are present.
  for (int64_t byte = 0; 8 * byte < rows; ++byte) {
    for (unsigned absent = static_cast<uint8_t>(~column.valid[byte]); absent != 0; absent &= absent - 1) {
      const int64_t row = 8 * byte + std::countr_zero(absent);
      if (row < rows) missing.push_back(row);
    }
  }
}

std::optional<Column> text_ids(const Rules& rules, const Cells& cells, int64_t rows, char separator) {
  const Values& values = cells.column->values;
  if (!all_whole(values, separator)) return {};
  std::vector<int64_t> ids(rows);
  // Rows that are missing have some text, too: the empty one, or what lies under a null.
  if (values.size > 0) {
    for_each_row(cells, rows,
                 [&](int64_t i, int64_t row) { ids[i] = *rules.bucketizer.text(values.text(row)); });
  }
  return column_of_ids(rules, std::move(ids), missing_rows({&cells, 1}, rows));
}

std::optional<Column> integer_ids(const Rules& rules, const Cells& cells, int64_t rows) {
  const Bucketizer bucketizer = rules.bucketizer;  // a copy: what is written below cannot be part of it
  std::vector<int64_t> ids(rows);
  const auto fill = [&](auto numbers) {
    for_each_row(cells, rows, [&](int64_t i, int64_t row) { ids[i] = bucketizer.integer(numbers[row]); });
  };
  const Values& values = cells.column->values;
  if (values.size > 0) {
    values.type == Type::Int32 ? fill(values.as<int32_t>()) : fill(values.as<int64_t>());
  }
  return column_of_ids(rules, std::move(ids), missing_rows({&cells, 1}, rows));
}

/// Lists of texts, which nothing cuts.
Column text_lists(const Rules& rules, const Cells& cells, int64_t rows) {
  const Column& column = *cells.column;
  const auto limit = rules.limit > 0 ? static_cast<size_t>(rules.limit) : SIZE_MAX;
  IdRows ids(rules, rows);
  for (int64_t i = 0; i < rows; ++i) {
    if (!cells.missing(i)) {
      const Range range = entries(column, cells.at(i));
      const size_t before = ids.row().size();
      for (int64_t p = range.begin; p < range.end && ids.row().size() - before < limit; ++p) {
        const std::string_view text = column.values.text(p);
        if (!text.empty()) ids.row().push_back(*rules.bucketizer.text(text));
      }
    }
    ids.end_row();
  }
  return ids.finish();
}

}  // namespace

Column column_of_ids(const Rules& rules, std::vector<int64_t> ids, std::span<const int64_t> missing) {
  Column column;
  column.rows = static_cast<int64_t>(ids.size());
  if (rules.has_default()) {
    for (int64_t row : missing) ids[row] = rules.default_ids[0];
    missing = {};
  }
  if (rules.single()) {
    ValidBuilder valid;
    size_t next = 0;
    for (int64_t row = 0; !missing.empty() && row < column.rows; ++row) {
      const bool present = next == missing.size() || missing[next] != row;
      if (!present) ids[missing[next++]] = 0;
      valid.append(present);
    }
    column.valid = valid.finish();
    column.values = values_of(std::move(ids));
    return column;
  }
  std::vector<int32_t> offsets(column.rows + 1);
  size_t next = 0;
  int32_t kept = 0;
  for (int64_t row = 0; row < column.rows; ++row) {
    offsets[row] = kept;
    if (next < missing.size() && missing[next] == row) {
      ++next;
    } else {
      ids[kept++] = ids[row];
    }
  }
  offsets[column.rows] = kept;
  ids.resize(kept);
  column.shape = Shape::List;
  column.offsets = std::move(offsets);
  column.values = values_of(std::move(ids));
  return column;
}

bool has_whole_texts(const Cells& cells, char separator) {
  return is_text(cells) && cells.column->width == 1 && all_whole(cells.column->values, separator);
}

std::vector<int64_t> missing_rows(std::span<const Cells> inputs, int64_t rows) {
  std::vector<int64_t> missing;
  for (const Cells& cells : inputs) {
    const size_t before = missing.size();
    add_missing(cells, rows, missing);
    if (before == 0 || missing.size() == before) continue;
    std::inplace_merge(missing.begin(), missing.begin() + static_cast<ptrdiff_t>(before), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  }
  return missing;
}

std::optional<Column> plain_ids(const Rules& rules, const Cells& cells, int64_t rows, char separator) {
  const Column& column = *cells.column;
  const bool integer = is_integer(column.values.type);
  const bool text = column.values.type == Type::String && takes_any_text(rules);
  if (!rules.bucketized() || rules.weighted || !rules.prefix.empty() || !(text || integer)) return {};
  if (column.shape == Shape::List && text && !cells.produced) return text_lists(rules, cells, rows);
  if (column.shape != Shape::Scalar || column.width != 1) return {};
  return text ? text_ids(rules, cells, rows, separator) : integer_ids(rules, cells, rows);
}

std::optional<Column> plain_sequence_ids(const Rules& rules, const Column& column, const SequenceRule& cut,
                                         char separator) {
  // One id in every element: as it is the default's where there is no token, no element is without.
  if (!takes_any_text(rules) || !rules.single() || !rules.has_default()) return {};
  if (column.values.type != Type::String || !all_whole(column.values, separator)) return {};
  const bool text = column.shape == Shape::Scalar && column.width == 1;
  if (!text && column.shape != Shape::List) return {};
  const int64_t none = rules.default_ids[0];
  std::vector<int64_t> ids;
  std::vector<int32_t> offsets;
  offsets.reserve(column.rows + 1);
  offsets.push_back(0);
  const auto add = [&](std::string_view element) {
    ids.push_back(element.empty() ? none : *rules.bucketizer.text(element));
  };
  for (int64_t row = 0; row < column.rows; ++row) {
    if (column.missing(row)) {
      ids.push_back(none);
    } else if (text) {
      for_each_element(column.values.text(row), cut.delimiter, cut.length, add);
    } else {
      const Range range = entries(column, row);
      const int64_t end = cut.length > 0 ? std::min(range.end, range.begin + cut.length) : range.end;
      for (int64_t p = range.begin; p < end; ++p) add(column.values.text(p));
    }
    if (ids.size() > INT32_MAX) throw DataError("over 2^31 elements in one batch of sequences");
    offsets.push_back(static_cast<int32_t>(ids.size()));
  }
  Column result;
  result.shape = Shape::List;
  result.rows = column.rows;
  result.offsets = std::move(offsets);
  result.values = values_of(std::move(ids));
  return result;
}

bool takes_plain_numbers(const Rules& rules) {
  return !rules.discrete && rules.value_type == Rules::ValueType::Float32 && rules.width <= 1 &&
         rules.default_numbers.size() <= 1;
}

std::optional<Column> plain_numbers(const Rules& rules, const Cells& cells, int64_t rows, bool null_is_zero) {
  const Column& column = *cells.column;
  const Values& values = column.values;
  if (!takes_plain_numbers(rules) || column.shape != Shape::Scalar || column.width != 1 ||
      values.type == Type::String) {
    return {};
  }
  std::vector<float> numbers(rows);
  const auto fill = [&](auto from) {
    for_each_row(cells, rows, [&](int64_t i, int64_t row) { numbers[i] = static_cast<float>(from[row]); });
  };
  if (values.size > 0) {
    switch (values.type) {
      case Type::Int32: fill(values.as<int32_t>()); break;
      case Type::Int64: fill(values.as<int64_t>()); break;
      case Type::Float32: fill(values.as<float>()); break;
      case Type::Float64: fill(values.as<double>()); break;
      case Type::String: break;
    }
  }
  rules.normalizer.column(numbers);
  std::vector<int64_t> missing = missing_rows({&cells, 1}, rows);
  if (null_is_zero) {
    for (int64_t row : missing) numbers[row] = 0;
    missing.clear();
  }
  return column_of_numbers(rules, std::move(numbers), missing);
}

Column column_of_numbers(const Rules& rules, std::vector<float> numbers, std::span<const int64_t> missing) {
  if (rules.bucketized()) {
    std::vector<int64_t> ids(numbers.size());
    rules.bucketizer.numbers(numbers, ids);
    return column_of_ids(rules, std::move(ids), missing);
  }
  const float absent = rules.has_default() ? static_cast<float>(rules.default_numbers[0]) : 0.0F;
  for (int64_t row : missing) numbers[row] = absent;
  Column column;
  column.rows = static_cast<int64_t>(numbers.size());
  column.values = values_of(std::move(numbers));
  return column;
}

}  // namespace recserve
