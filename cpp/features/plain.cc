#include "features/plain.h"

#include <algorithm>

namespace recserve {

namespace {

using Kind = Bucketizer::Kind;

/// One id in each row but the `missing` ones (increasing), whose ids so far mean nothing.
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

/// `each(row of the column)` for every row of the evaluation; 0 where there is none.
template <class Each>
void for_each_row(const Cells& cells, int64_t rows, Each&& each) {
  if (cells.rows != nullptr) {
    for (int64_t i = 0; i < rows; ++i) each(i, std::max<int64_t>(cells.rows[i], 0));
  } else if (cells.column->rows == 1) {
    for (int64_t i = 0; i < rows; ++i) each(i, 0);
  } else {
    for (int64_t i = 0; i < rows; ++i) each(i, i);
  }
}

/// None of the texts is to be cut: one look through the bytes of the whole column.
bool all_whole(const Values& values, char separator) {
  const int32_t begin = values.offsets[0], end = values.offsets[values.size];
  const auto* bytes = reinterpret_cast<const char*>(values.data.data());
  const std::string_view all(bytes + begin, static_cast<size_t>(end - begin));
  return all.find(kValueSeparator) == std::string_view::npos &&
         (separator == kValueSeparator || all.find(separator) == std::string_view::npos);
}

std::optional<Column> text_ids(const Rules& rules, const Cells& cells, int64_t rows, char separator) {
  const Values& values = cells.column->values;
  if (!all_whole(values, separator)) return {};
  std::vector<int64_t> ids(rows);
  // Rows that are missing have some text, too: the empty one, or what lies under a null.
  if (values.size > 0) {
    for_each_row(cells, rows, [&](int64_t i, int64_t row) { ids[i] = *rules.bucketizer.text(values.text(row)); });
  }
  return column_of_ids(rules, std::move(ids), missing_rows({&cells, 1}, rows));
}

std::optional<Column> integer_ids(const Rules& rules, const Cells& cells, int64_t rows) {
  std::vector<int64_t> ids(rows);
  const auto fill = [&](auto numbers) {
    for_each_row(cells, rows, [&](int64_t i, int64_t row) { ids[i] = rules.bucketizer.integer(numbers[row]); });
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
  std::vector<int64_t> ids;
  ids.reserve(column.values.size);
  std::vector<int32_t> offsets;
  offsets.reserve(rows + 1);
  offsets.push_back(0);
  for (int64_t i = 0; i < rows; ++i) {
    const size_t before = ids.size();
    if (!cells.missing(i)) {
      const Range range = entries(column, cells.at(i));
      for (int64_t p = range.begin; p < range.end; ++p) {
        const std::string_view text = column.values.text(p);
        if (!text.empty()) ids.push_back(*rules.bucketizer.text(text));
      }
    }
    if (ids.size() == before && rules.has_default()) ids.push_back(rules.default_ids[0]);
    offsets.push_back(static_cast<int32_t>(ids.size()));
  }
  Column result;
  result.shape = Shape::List;
  result.rows = rows;
  result.offsets = std::move(offsets);
  result.values = values_of(std::move(ids));
  return result;
}

/// One token in every row, as text.
class Token {
 public:
  explicit Token(const Cells& cells) : cells_(&cells), values_(&cells.column->values) {}
  bool missing(int64_t i) const { return cells_->missing(i); }
  std::string_view text(int64_t i) {
    const int64_t at = cells_->at(i);
    switch (values_->type) {
      case Type::String: return values_->text(at);
      case Type::Int32: return format(int64_t{values_->as<int32_t>()[at]}, decimal_);
      default: return format(values_->as<int64_t>()[at], decimal_);
    }
  }

 private:
  const Cells* cells_;
  const Values* values_;
  char decimal_[kNumberChars];
};

}  // namespace

std::vector<int64_t> missing_rows(std::span<const Cells> inputs, int64_t rows) {
  std::vector<const Cells*> asked;  // the others cannot be missing
  for (const Cells& cells : inputs) {
    const Column& column = *cells.column;
    if (cells.rows != nullptr || !column.valid.empty() || column.values.type == Type::String) asked.push_back(&cells);
  }
  std::vector<int64_t> missing;
  for (int64_t i = 0; i < rows && !asked.empty(); ++i) {
    if (std::any_of(asked.begin(), asked.end(), [i](const Cells* cells) { return cells->missing(i); })) missing.push_back(i);
  }
  return missing;
}

std::optional<Column> plain_ids(const Rules& rules, const Cells& cells, int64_t rows, char separator) {
  const Kind kind = rules.bucketizer.kind();
  const Column& column = *cells.column;
  const bool integer = column.values.type == Type::Int32 || column.values.type == Type::Int64;
  // Any text has an id of these kinds; the others may find one that is no number, and count it.
  const bool text = column.values.type == Type::String && (kind == Kind::Hash || kind == Kind::Vocab);
  if (!rules.bucketized() || rules.weighted || !rules.prefix.empty() || !(text || integer)) return {};
  if (column.shape == Shape::List && text && !cells.produced && rules.limit == 0) {
    return text_lists(rules, cells, rows);
  }
  if (column.shape != Shape::Scalar || column.width != 1) return {};
  return text ? text_ids(rules, cells, rows, separator) : integer_ids(rules, cells, rows);
}

std::optional<Column> plain_combos(const Rules& rules, std::span<const Cells> inputs, int64_t rows, char separator) {
  const Kind kind = rules.bucketizer.kind();
  if ((kind != Kind::Hash && kind != Kind::Vocab) || rules.weighted || !rules.prefix.empty()) return {};
  for (const Cells& cells : inputs) {
    const Column& column = *cells.column;
    const Type type = column.values.type;
    if (column.shape != Shape::Scalar || column.width != 1 || column.values.size == 0) return {};
    if (type == Type::Float32 || type == Type::Float64) return {};
    if (type == Type::String && !all_whole(column.values, separator)) return {};
  }
  std::vector<Token> tokens(inputs.begin(), inputs.end());
  std::vector<std::string_view> texts(inputs.size());
  std::vector<int64_t> ids(rows);
  std::vector<int64_t> missing;
  std::string scratch;
  for (int64_t i = 0; i < rows; ++i) {
    if (std::any_of(tokens.begin(), tokens.end(), [i](const Token& token) { return token.missing(i); })) {
      missing.push_back(i);
      continue;
    }
    for (size_t k = 0; k < tokens.size(); ++k) texts[k] = tokens[k].text(i);
    ids[i] = rules.bucketizer.joined(texts, scratch);
  }
  return column_of_ids(rules, std::move(ids), missing);
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
