#include <algorithm>
#include <array>
#include <string>

#include "features/combo.h"
#include "features/plain.h"
#include "features/plain_rows.h"

namespace recserve {

namespace {

/// The tokens of a row of one input: of a text that nothing cuts, an integer, or a list of texts.
class RowTokens {
 public:
  explicit RowTokens(const Cells& cells) : cells_(&cells) {}

  void read(int64_t i) {
    texts_ = {};
    if (cells_->missing(i)) return;
    const Column& column = *cells_->column;
    const int64_t row = cells_->at(i);
    if (column.shape == Shape::List) return read_list(column, row);
    switch (column.values.type) {
      case Type::String: one_ = column.values.text(row); break;
      case Type::Int32: one_ = format(int64_t{column.values.as<int32_t>()[row]}, decimal_); break;
      default: one_ = format(column.values.as<int64_t>()[row], decimal_);
    }
    texts_ = {&one_, 1};
  }
  bool constant() const { return cells_->constant(); }
  std::span<const std::string_view> texts() const { return texts_; }

 private:
  void read_list(const Column& column, int64_t row) {
    several_.clear();
    for (int32_t p = column.offsets[row]; p < column.offsets[row + 1]; ++p) {
      if (const std::string_view text = column.values.text(p); !text.empty()) several_.push_back(text);
    }
    texts_ = several_;
  }

  const Cells* cells_;
  std::span<const std::string_view> texts_;  // into one of these
  std::string_view one_;
  std::vector<std::string_view> several_;
  char decimal_[kNumberChars];
};

/// What `RowTokens` reads.
bool has_plain_tokens(const Cells& cells, char separator) {
  const Column& column = *cells.column;
  const bool text = column.values.type == Type::String;
  if (column.shape == Shape::List) return text && !cells.produced;
  if (column.shape != Shape::Scalar || column.width != 1 || column.values.size == 0) return false;
  return text ? all_whole(column.values, separator) : is_integer(column.values.type);
}

/// The commonest combo: a text of the user beside one of each item.
std::optional<Column> crossed_texts(const Rules& rules, std::span<const Cells> inputs, int64_t rows) {
  if (inputs.size() != 2 || !is_text(inputs[0]) || !is_text(inputs[1])) return {};
  if (!inputs[0].constant() || inputs[0].missing(0)) return {};
  const Values& values = inputs[1].column->values;
  const Bucketizer& bucketizer = rules.bucketizer;
  std::array<std::string_view, 2> texts = {inputs[0].column->values.text(0), {}};
  std::string scratch;
  std::vector<int64_t> ids(rows);
  for_each_row(inputs[1], rows, [&](int64_t i, int64_t row) {
    texts[1] = values.text(row);
    ids[i] = bucketizer.joined(texts, scratch);
  });
  return column_of_ids(rules, std::move(ids), missing_rows(inputs.subspan(1), rows));
}

/// Gives the ids of all combinations of tokens, the first input varying slowest, up to `limit` of them.
class Combinations {
 public:
  Combinations(const Bucketizer& bucketizer, size_t inputs, size_t limit)
      : bucketizer_(bucketizer), limit_(limit), texts_(inputs), at_(inputs), sizes_(inputs) {}

  void append(const std::vector<RowTokens>& inputs, std::vector<int64_t>& ids) {
    bool several = false;
    for (size_t k = 0; k < inputs.size(); ++k) {
      const auto texts = inputs[k].texts();
      if (texts.empty()) return;
      several |= texts.size() > 1;
      sizes_[k] = texts.size();
      at_[k] = 0;
      texts_[k] = texts[0];
    }
    if (several) combinations_.add(sizes_, limit_);
    for (size_t count = 1;; ++count) {
      ids.push_back(bucketizer_.joined(texts_, scratch_));
      if (!several || count == limit_ || !next(inputs)) return;
    }
  }

 private:
  /// As an odometer counts.
  bool next(const std::vector<RowTokens>& inputs) {
    for (size_t k = inputs.size(); k-- > 0;) {
      const auto texts = inputs[k].texts();
      at_[k] = at_[k] + 1 < texts.size() ? at_[k] + 1 : 0;
      texts_[k] = texts[at_[k]];
      if (at_[k] != 0) return true;
    }
    return false;
  }

  const Bucketizer& bucketizer_;
  const size_t limit_;
  std::vector<std::string_view> texts_;
  std::vector<size_t> at_;
  std::vector<size_t> sizes_;
  CombinationLimit combinations_;
  std::string scratch_;
};

}  // namespace

std::optional<Column> plain_combos(const Rules& rules, std::span<const Cells> inputs, int64_t rows,
                                   char separator) {
  if (!takes_any_text(rules)) return {};
  for (const Cells& cells : inputs) {
    if (!has_plain_tokens(cells, separator)) return {};
  }
  if (auto crossed = crossed_texts(rules, inputs, rows)) return crossed;
  std::vector<RowTokens> tokens(inputs.begin(), inputs.end());
  for (RowTokens& input : tokens) {
    if (input.constant()) input.read(0);
  }
  Combinations combinations(rules.bucketizer, inputs.size(), static_cast<size_t>(rules.limit));
  IdRows ids(rules, rows);
  for (int64_t i = 0; i < rows; ++i) {
    for (RowTokens& input : tokens) {
      if (!input.constant()) input.read(i);
    }
    combinations.append(tokens, ids.row());
    ids.end_row();
  }
  return ids.finish();
}

}  // namespace recserve
