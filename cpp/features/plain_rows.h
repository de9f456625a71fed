// What the short cuts of plain.h share: how rows are read, and how ids become a column.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "features/cells.h"
#include "features/rules.h"

namespace recserve {

inline bool is_integer(Type type) { return type == Type::Int32 || type == Type::Int64; }

inline bool is_text(const Cells& cells) {
  return cells.column->shape == Shape::Scalar && cells.column->values.type == Type::String;
}

/// Any text has an id; other bucketizers may find one that is no number, and count it.
inline bool takes_any_text(const Rules& rules) {
  const Bucketizer::Kind kind = rules.bucketizer.kind();
  return (kind == Bucketizer::Kind::Hash || kind == Bucketizer::Kind::Vocab) && !rules.weighted &&
         rules.prefix.empty();
}

/// None of the texts is to be cut: one look through the bytes of the whole column.
inline bool all_whole(const Values& values, char separator) {
  const int32_t begin = values.offsets[0], end = values.offsets[values.size];
  const auto* bytes = reinterpret_cast<const char*>(values.data.data());
  const std::string_view all(bytes + begin, static_cast<size_t>(end - begin));
  return all.find(kValueSeparator) == std::string_view::npos &&
         (separator == kValueSeparator || all.find(separator) == std::string_view::npos);
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

/// One id in each row but the `missing` ones (increasing), whose ids so far mean nothing.
Column column_of_ids(const Rules& rules, std::vector<int64_t> ids, std::span<const int64_t> missing);

/// Collects any number of ids in each row.
class IdRows {
 public:
  IdRows(const Rules& rules, int64_t rows) : rules_(rules) {
    ids_.reserve(rows);
    offsets_.reserve(rows + 1);
    offsets_.push_back(0);
  }
  /// Where the ids of the row at hand are appended.
  std::vector<int64_t>& row() { return ids_; }
  void end_row() {
    const bool missing = static_cast<int32_t>(ids_.size()) == offsets_.back();
    if (missing && rules_.has_default()) ids_.push_back(rules_.default_ids[0]);
    if (missing && !rules_.has_default() && rules_.single()) {
      ids_.push_back(0);
      missing_.push_back(static_cast<int64_t>(offsets_.size()) - 1);
    }
    offsets_.push_back(static_cast<int32_t>(ids_.size()));
  }
  Column finish() {
    if (rules_.single()) return column_of_ids(rules_, std::move(ids_), missing_);
    Column column;
    column.shape = Shape::List;
    column.rows = static_cast<int64_t>(offsets_.size()) - 1;
    column.offsets = std::move(offsets_);
    column.values = values_of(std::move(ids_));
    return column;
  }

 private:
  const Rules& rules_;
  std::vector<int64_t> ids_;
  std::vector<int32_t> offsets_;
  std::vector<int64_t> missing_;  // where a row has one id at most
};

}  // namespace recserve
