#include "features/sequence.h"

#include <algorithm>

#include "columns/error.h"
#include "columns/text.h"

namespace recserve {

namespace {

Elements split_text(const Column& column, const SequenceRule& rule) {
  Elements elements;
  StringsBuilder texts;
  elements.offsets.reserve(column.rows + 1);
  elements.offsets.push_back(0);
  for (int64_t row = 0; row < column.rows; ++row) {
    if (!column.missing(row)) {
      for_each_element(column.values.text(row), rule.delimiter, rule.length,
                       [&](std::string_view piece) { texts.append(piece); });
    }
    elements.offsets.push_back(static_cast<int32_t>(texts.size()));
  }
  auto pieces = std::make_shared<Column>();
  pieces->rows = texts.size();
  pieces->values = texts.finish();
  elements.column = std::move(pieces);
  return elements;
}

/// The rows of `elements` that each row of the column covers. Rows that are missing may cover some in Arrow;
/// they are left out by moving what follows over a gap, so such columns come back through `take`.
Elements with_ranges(const Column& column, ColumnPtr elements, const std::vector<Range>& ranges) {
  Elements result;
  result.offsets.reserve(ranges.size() + 1);
  bool gaps = false;
  int64_t count = 0;
  for (const Range& range : ranges) {
    gaps |= range.begin != count && range.begin != range.end;
    result.offsets.push_back(static_cast<int32_t>(count));
    count += range.end - range.begin;
  }
  result.offsets.push_back(static_cast<int32_t>(count));
  if (!gaps) {
    result.column = std::move(elements);
    return result;
  }
  std::vector<int64_t> taken;
  taken.reserve(count);
  for (const Range& range : ranges) {
    for (int64_t e = range.begin; e < range.end; ++e) taken.push_back(e);
  }
  result.column = take(*elements, taken);
  return result;
}

/// The values of a column as rows of their own.
ColumnPtr values_as_rows(const Column& column) {
  auto rows = std::make_shared<Column>();
  rows->rows = column.values.size;
  rows->values = column.values;
  return rows;
}

/// The inner lists of a nested column as rows of their own.
ColumnPtr lists_as_rows(const Column& column) {
  auto rows = std::make_shared<Column>();
  rows->shape = Shape::List;
  rows->rows = column.inner.size() - 1;
  rows->offsets = column.inner;
  rows->values = column.values;
  return rows;
}

}  // namespace

Elements split(const ColumnPtr& shared, const SequenceRule& rule, const std::string& name) {
  const Column& column = *shared;
  if (column.shape == Shape::Map) {
    throw RequestError("reads column '" + name + "' as a sequence, and it is a map");
  }
  if (column.shape == Shape::Scalar && column.width == 1 && column.values.type == Type::String) {
    return split_text(column, rule);
  }
  std::vector<Range> ranges;
  ranges.reserve(column.rows);
  for (int64_t row = 0; row < column.rows; ++row) {
    Range range{0, 0};
    if (!column.missing(row)) {
      if (column.shape == Shape::Scalar)
        range = entries(column, row);
      else
        range = {column.offsets[row], column.offsets[row + 1]};
    }
    if (rule.length > 0) range.end = std::min(range.end, range.begin + rule.length);
    ranges.push_back(range);
  }
  return with_ranges(column, column.shape == Shape::Nested ? lists_as_rows(column) : values_as_rows(column),
                     ranges);
}

Alignment::Alignment(std::span<const Elements> sequences, int64_t rows, int64_t length, bool broadcast)
    : maps_(sequences.size()) {
  offsets_.reserve(rows + 1);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t longest = 0;
    for (const Elements& sequence : sequences) {
      const int64_t own = sequence.rows() == 1 ? 0 : row;
      longest = std::max<int64_t>(longest, sequence.offsets[own + 1] - sequence.offsets[own]);
    }
    if (length > 0) longest = std::min(longest, length);
    longest = std::max<int64_t>(longest, 1);
    for (size_t k = 0; k < sequences.size(); ++k) {
      const int64_t own = sequences[k].rows() == 1 ? 0 : row;
      const int64_t begin = sequences[k].offsets[own];
      const int64_t end = sequences[k].offsets[own + 1];
      if (broadcast && end == begin + 1) {
        maps_[k].insert(maps_[k].end(), longest, begin);
        continue;
      }
      for (int64_t e = begin; e < begin + longest; ++e) maps_[k].push_back(e < end ? e : -1);
    }
    if (offsets_.back() + longest > INT32_MAX)
      throw DataError("over 2^31 elements in one batch of sequences");
    offsets_.push_back(offsets_.back() + static_cast<int32_t>(longest));
  }
}

void Alignment::keep(const std::vector<bool>& kept) {
  int32_t left = 0;  // never more than have been read
  int32_t begin = 0;
  for (size_t row = 0; row + 1 < offsets_.size(); ++row) {
    const int32_t first = left;
    const int32_t end = offsets_[row + 1];
    for (int32_t e = begin; e < end; ++e) {
      if (!kept[e]) continue;
      for (auto& map : maps_) map[left] = map[e];
      ++left;
    }
    if (left == first) {
      for (auto& map : maps_) map[left] = -1;
      ++left;
    }
    if (!row_of_.empty()) std::fill(row_of_.begin() + first, row_of_.begin() + left, row);
    offsets_[row + 1] = left;
    begin = end;
  }
}

int64_t Alignment::row_of(int64_t element) const {
  return std::upper_bound(offsets_.begin(), offsets_.end(), element) - offsets_.begin() - 1;
}

const int64_t* Alignment::row_of_elements() {
  if (row_of_.empty()) {
    row_of_.reserve(elements());
    for (size_t row = 0; row + 1 < offsets_.size(); ++row) {
      row_of_.insert(row_of_.end(), offsets_[row + 1] - offsets_[row], static_cast<int64_t>(row));
    }
  }
  return row_of_.data();
}

ColumnPtr regroup(const Column& results, std::vector<int32_t> offsets) {
  auto sequence = std::make_shared<Column>();
  sequence->rows = static_cast<int64_t>(offsets.size()) - 1;
  sequence->offsets = Array<int32_t>(std::move(offsets));
  sequence->values = results.values;
  if (results.shape == Shape::Scalar && results.width == 1) {
    sequence->shape = Shape::List;
    return sequence;
  }
  sequence->shape = Shape::Nested;
  if (results.shape == Shape::List) {
    sequence->inner = results.offsets;
    return sequence;
  }
  std::vector<int32_t> inner(results.rows + 1);
  for (int64_t i = 0; i <= results.rows; ++i) inner[i] = static_cast<int32_t>(i * results.width);
  sequence->inner = Array<int32_t>(std::move(inner));
  return sequence;
}

}  // namespace recserve
