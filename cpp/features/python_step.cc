#include "features/python_step.h"

#include <unordered_map>

#include "columns/error.h"
#include "features/cell_key.h"

namespace recserve {

namespace {

/// Gives one row of results to the sink; false if it holds nothing.
bool emit(const Column& results, int64_t row, Sink& sink) {
  if (results.missing(row)) return false;
  bool any = false;
  for_each_entry(results.values, entries(results, row), [&]<class T>(T value) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      if (value.empty()) return;
      if (!sink.rules().discrete) {
        throw DataError("has a Python step that gave texts where numbers are wanted");
      }
      sink.token(value);
    } else if (sink.rules().discrete) {
      sink.token(value);
    } else {
      sink.number(value);
    }
    any = true;
  });
  return any;
}

/// Calls `use` with the one text of cell `i`, if it has any.
template <class Use>
void with_whole_text(const Cells& cells, int64_t i, Use&& use) {
  if (cells.missing(i)) return;
  const Column& column = *cells.column;
  const Range range = entries(column, cells.at(i));
  if (range.end - range.begin > 1) {
    throw RequestError("reads column '" + *cells.name + "', which has " +
                       std::to_string(range.end - range.begin) + " values in a row; one text is wanted");
  }
  for_each_entry(tokens_of(column), range, [&](auto value) {
    with_text(value, [&](std::string_view text) {
      if (!text.empty()) use(text);
    });
  });
}

/// A text is one value: a list is refused even where it has one entry. The texts of another feature come as a
/// list, which is then looked at row by row.
void refuse_lists(const Cells& cells) {
  const Column& column = *cells.column;
  if (column.shape == Shape::Map) throw RequestError("reads column '" + *cells.name + "', which is a map");
  if ((column.shape != Shape::Scalar || column.width > 1) && !cells.produced) {
    throw RequestError("reads column '" + *cells.name + "', which is a list; a text is wanted");
  }
}

}  // namespace

/// One run: looks every key up, computes those that nobody has seen, and gives the rows in their order.
class PythonStep::Run {
 public:
  Run(const PythonStep& step, std::span<const Cells> inputs, int64_t rows)
      : step_(step), inputs_(inputs), rows_(rows) {}

  void to(Sink& sink) {
    kept_ = step_.memo_.read([&](const Memo::Results& seen) { look_up(seen); });
    if (!unseen_.empty()) compute();
    size_t at = 0;
    for (const size_t end : ends_) {
      bool any = false;
      for (; at < end; ++at) {
        const Memo::Result& result = results_[at];
        any |= emit(result.column != nullptr ? *result.column : *computed_, result.row, sink);
      }
      if (!any && step_.stand_in_) emit(*step_.stand_in_, 0, sink);
      sink.end_row();
    }
  }

 private:
  void look_up(const Memo::Results& seen) {
    ends_.reserve(rows_);
    std::string key;
    for (int64_t row = 0; row < rows_; ++row) {
      switch (step_.unit_) {
        case Unit::Token:
          for_each_text(inputs_[0], row, step_.separator_,
                        [&](std::string_view text) { look_up(seen, text, row); });
          break;
        case Unit::Text:
          with_whole_text(inputs_[0], row, [&](std::string_view text) { look_up(seen, text, row); });
          break;
        case Unit::Cells:
          key.clear();
          for (const Cells& cells : inputs_) append_key(cells, row, key);
          look_up(seen, key, row);
          break;
      }
      ends_.push_back(results_.size());
    }
  }

  void look_up(const Memo::Results& seen, std::string_view key, int64_t row) {
    if (const auto found = seen.find(key); found != seen.end()) {
      results_.push_back(found->second);
      return;
    }
    // A result without a column is a row of `computed_`.
    if (const auto found = unseen_.find(key); found != unseen_.end()) {
      results_.push_back({nullptr, found->second});
      return;
    }
    const auto number = static_cast<int64_t>(unseen_rows_.size());
    unseen_.emplace(key, number);
    unseen_rows_.push_back(row);
    results_.push_back({nullptr, number});
  }

  void compute() {
    std::vector<std::string> keys(unseen_.size());
    for (auto at = unseen_.begin(); at != unseen_.end();) {
      auto node = unseen_.extract(at++);
      keys[node.mapped()] = std::move(node.key());
    }
    std::vector<ColumnPtr> columns;
    if (step_.unit_ == Unit::Cells) {
      for (const Cells& cells : inputs_) columns.push_back(cells_of(cells));
    } else {
      columns.push_back(column_of(std::vector<std::string_view>(keys.begin(), keys.end())));
    }
    computed_ = step_.call(columns, static_cast<int64_t>(keys.size()));
    step_.memo_.add(std::move(keys), computed_);
  }

  /// One input's cells at the rows that are computed. Equal keys are to be equal rows, so every missing cell
  /// is a null.
  ColumnPtr cells_of(const Cells& cells) const {
    std::vector<int64_t> rows;
    rows.reserve(unseen_rows_.size());
    for (const int64_t row : unseen_rows_) rows.push_back(cells.missing(row) ? -1 : cells.at(row));
    return take(*cells.column, rows);
  }

  const PythonStep& step_;
  std::span<const Cells> inputs_;
  int64_t rows_;
  std::vector<Memo::Result> results_;  // of all keys, row after row
  std::vector<size_t> ends_;           // of each row's results
  std::unordered_map<std::string, int64_t, Memo::Hash, std::equal_to<>> unseen_;
  std::vector<int64_t> unseen_rows_;  // where each unseen key was met first
  ColumnPtr computed_;
  std::shared_ptr<const void> kept_;
};

PythonStep::PythonStep(std::shared_ptr<const BatchFunction> function, Unit unit, char separator,
                       const std::string& stand_in, Bounds bounds)
    : function_(std::move(function)), unit_(unit), separator_(separator), memo_(bounds.keys, bounds.bytes) {
  if (stand_in.empty()) return;
  const std::vector<ColumnPtr> columns{column_of(std::vector<std::string_view>{stand_in})};
  stand_in_ = call(columns, 1);
}

void PythonStep::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  if (unit_ == Unit::Text) refuse_lists(inputs[0]);
  Run(*this, inputs, rows).to(sink);
}

ColumnPtr PythonStep::call(std::span<const ColumnPtr> columns, int64_t rows) const {
  ColumnPtr results = function_->run(columns, rows);
  if (results->rows != rows) {
    throw DataError("has a Python step that gave " + std::to_string(results->rows) + " results for " +
                    std::to_string(rows) + " values");
  }
  if (results->shape != Shape::Scalar && results->shape != Shape::List) {
    throw DataError(std::string("has a Python step that gave a ") + name_of(results->shape) +
                    " column; a value or a list of values per row is wanted");
  }
  return results;
}

}  // namespace recserve
