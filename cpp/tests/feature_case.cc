#include "tests/feature_case.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "columns/error.h"
#include "tests/drawn_columns.h"
#include "tests/drawn_steps.h"

namespace recserve::testing {

namespace {

constexpr int64_t kItems = 4;  // of the table; behind them is one that has nothing

/// The columns of a user, a request and a table, and who is asked about what.
struct Data {
  Batch user{1};
  Batch context;
  Batch items{kItems + 1};
  std::vector<int64_t> candidates;  // rows of `items`
  std::vector<int64_t> clicked;
  std::vector<Source> sources;

  int64_t rows() const { return static_cast<int64_t>(candidates.size()); }
};

std::vector<int64_t> draw_rows(Bytes& bytes, size_t most) {
  std::vector<int64_t> rows(bytes.below(most + 1));
  for (int64_t& row : rows) row = static_cast<int64_t>(bytes.below(kItems + 1));
  return rows;
}

ColumnPtr with_empty_row(const ColumnPtr& column) {
  std::vector<int64_t> rows(kItems + 1);
  std::iota(rows.begin(), rows.end(), 0);
  rows.back() = -1;
  return take(*column, rows);
}

Data draw_data(Bytes& bytes) {
  Data data;
  data.candidates = draw_rows(bytes, 5);
  data.clicked = draw_rows(bytes, 5);
  data.context = Batch(data.rows());
  const auto add = [&](Batch& batch, Side side, std::string name, ColumnPtr column) {
    const bool flat = column->shape == Shape::List || (column->shape == Shape::Scalar && column->width == 1);
    data.sources.push_back({side, name, flat});
    batch.add(std::move(name), std::move(column));
  };
  for (int i = 0; i < 3; ++i) add(data.user, Side::User, "u" + std::to_string(i), draw_column(bytes, 1));
  for (int i = 0; i < 2; ++i) {
    const int64_t rows = bytes.one_in(3) ? 1 : data.rows();
    add(data.context, Side::Context, "c" + std::to_string(i), draw_column(bytes, rows));
  }
  for (int i = 0; i < 4; ++i) {
    add(data.items, Side::Item, "i" + std::to_string(i), with_empty_row(draw_column(bytes, kItems)));
  }
  return data;
}

Batch taken(const Batch& batch, std::span<const int64_t> rows) {
  Batch result(static_cast<int64_t>(rows.size()));
  for (const auto& [name, column] : batch.columns()) {
    if (column->rows == 1 && batch.rows() != 1) {
      result.add(name, column);
    } else {
      result.add(name, take(*column, rows));
    }
  }
  return result;
}

/// A scalar number as a list of one or none: a null element of a sequence has no other form.
ColumnPtr as_list(const ColumnPtr& column) {
  if (column->shape != Shape::Scalar || column->values.type == Type::String) return column;
  std::vector<int64_t> present;
  std::vector<int32_t> offsets{0};
  for (int64_t row = 0; row < column->rows; ++row) {
    if (column->is_valid(row)) present.push_back(row);
    offsets.push_back(static_cast<int32_t>(present.size()));
  }
  Column list;
  list.shape = Shape::List;
  list.rows = column->rows;
  list.offsets = std::move(offsets);
  list.values = take(*column, present)->values;
  return std::make_shared<const Column>(std::move(list));
}

/// The rows of a training table that the request would have become.
Batch joined_of(const Data& data, const std::vector<Step>& steps) {
  Batch joined(data.rows());
  for (const Batch* side : {&data.user, &data.context}) {
    for (const auto& [name, column] : side->columns()) joined.add(name, column);
  }
  const Batch candidates = taken(data.items, data.candidates);
  for (const auto& [name, column] : candidates.columns()) joined.add(name, column);
  const auto clicks = static_cast<int32_t>(data.clicked.size());
  for (const Step& step : steps) {
    for (const Input& input : step.inputs) {
      if (input.side != Side::Group || joined.find(input.joined) != nullptr) continue;
      const Column& column = *data.items.find(input.name);
      std::vector<int64_t> rows = data.clicked;
      for (int64_t& row : rows) row = column.is_valid(row) ? row : -1;  // a list knows no null entries
      const ColumnPtr elements = take(column, rows);
      joined.add(input.joined, regroup(*as_list(elements), {0, clicks}));
    }
  }
  return joined;
}

/// Item features finished in the table, gathered, and the rest computed.
Batch staged(const Data& data, const FeaturePlan& plan, std::span<const int32_t> steps) {
  const Batch finished = plan.finish(data.items);
  const Batch raw = taken(data.items, data.candidates);
  const Batch candidates = taken(finished, data.candidates);
  const Batch clicked_raw = taken(data.items, data.clicked);
  const Batch clicked_finished = taken(finished, data.clicked);
  const Sources sources{&data.user, &data.context, &raw, &candidates, {{&clicked_raw, &clicked_finished}},
                        nullptr,    data.rows()};
  return plan.columns(sources, steps);
}

class Comparison {
 public:
  Comparison(const Drawn& drawn, size_t features) : drawn_(drawn), features_(features) {}

  /// Row `row` of what is expected is row `other` of `found`.
  void row(const char* way, const Batch& expected, int64_t row, const Batch& found, int64_t other) const {
    for (size_t k = 0; k < features_; ++k) {
      const Column& wanted = *expected.find(drawn_.steps[k].name);
      const Column& got = *found.find(drawn_.steps[k].name);
      if (!same_row(wanted, wanted.row_for(row), got, got.row_for(other))) fail(way, k, row);
    }
  }

 private:
  [[noreturn]] void fail(const char* way, size_t step, int64_t row) const {
    std::fprintf(stderr, "feature f%zu: row %lld %s is not what it is joined\n", step,
                 static_cast<long long>(row), way);
    for (const std::string& text : drawn_.texts) std::fprintf(stderr, "  %s\n", text.c_str());
    std::abort();
  }

  const Drawn& drawn_;
  size_t features_;
};

/// Half of the bytes for each, so that neither starves.
void check(std::span<const uint8_t> input) {
  Bytes config(input.first(input.size() / 2));
  Bytes cells(input.subspan(input.size() / 2));
  const Data data = draw_data(cells);
  const Drawn drawn = draw_steps(config, data.sources);
  const size_t features = drawn.texts.size();
  std::vector<int32_t> steps(features);
  std::iota(steps.begin(), steps.end(), 0);
  std::vector<Output> outputs;
  std::vector<int32_t> output_steps;
  for (int32_t step : steps) {
    const Rules& rules = *drawn.steps[step].rules;
    if (rules.discrete && !rules.bucketized()) continue;  // texts
    outputs.push_back(output_of(drawn.steps[step]));
    output_steps.push_back(step);
  }
  const FeaturePlan plan(drawn.steps, outputs, output_steps, false);
  const Batch joined = joined_of(data, drawn.steps);
  const Batch whole = plan.columns_joined(joined, steps, false);
  plan.generate_joined(joined, false);
  const Comparison compare(drawn, features);
  const Batch stages = staged(data, plan, steps);
  for (int64_t row = 0; row < data.rows(); ++row) {
    compare.row("staged", whole, row, stages, row);
    const int64_t one[] = {row};
    compare.row("alone", whole, row, plan.columns_joined(taken(joined, one), steps, false), 0);
  }
}

}  // namespace

void check_features(std::span<const uint8_t> bytes) {
  try {
    check(bytes);
  } catch (const ConfigError&) {
  } catch (const RequestError&) {
  } catch (const DataError&) {
  }
}

}  // namespace recserve::testing
