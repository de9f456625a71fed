#include "features/lookup.h"

#include <deque>

#include "features/pairs.h"
#include "features/plain.h"

namespace recserve {

namespace {

/// One map cell, by key. Views into the column's memory; number keys are written out into `written`.
class PairMap {
 public:
  void read(const Cells& cells, int64_t row) {
    pairs_.clear();
    written_.clear();
    keys_ = nullptr;
    if (cells.missing(row)) return;
    const Column& column = *cells.column;
    if (column.shape != Shape::Map) {
      for_each_token(cells, row, kValueSeparator, [&]<class T>(T token) {
        if constexpr (std::is_same_v<T, std::string_view>) insert(token);
      });
      return;
    }
    native_ = &column.values;
    const Range range = entries(column, cells.at(row));
    begin_ = range.begin;
    if (column.keys.type == Type::String) {
      keys_ = &column.keys;
      end_ = range.end;
      asked_ = 0;
      return;
    }
    for_each_entry(column.keys, range, [&](auto key) {
      with_text(key, [&](std::string_view text) { pairs_.insert(written_.emplace_back(text), {}); });
    });
  }

  int32_t find(std::string_view key) {
    if (keys_ == nullptr) return pairs_.find(key);
    // The keys are searched where they lie, until more is asked for than a few.
    if (++asked_ <= Pairs::kSearches) {
      return last_equal(static_cast<int32_t>(end_ - begin_), key,
                        [&](int32_t i) { return keys_->text(begin_ + i); });
    }
    for (int64_t p = begin_; p < end_; ++p) pairs_.insert(keys_->text(p), {});
    keys_ = nullptr;
    return pairs_.find(key);
  }

  /// Calls `use` with the value as text.
  template <class Use>
  void text(int32_t found, Use&& use) const {
    if (native_ == nullptr) return use(pairs_.value(found));
    for_each_entry(*native_, {begin_ + found, begin_ + found + 1},
                   [&](auto value) { with_text(value, use); });
  }

  /// The value as a number; nothing, counted, when it is text that is none.
  std::optional<double> number(int32_t found, const Cells& cells, Counts& counts) const {
    std::optional<double> result;
    const auto parse = [&](std::string_view text) {
      result = parse_double(text);
      if (!result) counts.unparsable(text, cells.name);
    };
    if (native_ == nullptr) {
      parse(pairs_.value(found));
      return result;
    }
    for_each_entry(*native_, {begin_ + found, begin_ + found + 1}, [&]<class T>(T value) {
      if constexpr (std::is_same_v<T, std::string_view>)
        parse(value);
      else
        result = static_cast<double>(value);
    });
    return result;
  }

 private:
  void insert(std::string_view pair) {
    size_t colon = pair.find(':');
    if (colon != std::string_view::npos) pairs_.insert(pair.substr(0, colon), pair.substr(colon + 1));
  }

  Pairs pairs_;
  const Values* native_ = nullptr;  // a native map's values: that of pair i is at begin_ + i
  int64_t begin_ = 0;
  const Values* keys_ = nullptr;  // a native map's keys, from begin_ to end_, while pairs_ has none of them
  int64_t end_ = 0;
  int32_t asked_ = 0;
  std::deque<std::string> written_;
};

}  // namespace

LookupKernel::LookupKernel(char separator, bool discrete, bool need_key, const std::string& combiner)
    : separator_(separator), discrete_(discrete), need_key_(need_key), combiner_(combiner_of(combiner)) {}

std::optional<Column> LookupKernel::whole(std::span<const Cells> inputs, int64_t rows,
                                          const Rules& rules) const {
  const Cells& keys = inputs[1];
  const Column& map = *inputs[0].column;
  if (discrete_ || !takes_plain_numbers(rules) || !has_whole_texts(keys, separator_)) return {};
  if (map.shape != Shape::Map || map.values.type == Type::String) return {};
  PairMap pairs;
  if (inputs[0].constant()) pairs.read(inputs[0], 0);
  Counts none;  // numbers are all parsed
  std::vector<double> found(1);
  std::vector<float> numbers(rows);
  std::vector<int64_t> missing;
  for (int64_t i = 0; i < rows; ++i) {
    if (!inputs[0].constant()) pairs.read(inputs[0], i);
    const int32_t at = keys.missing(i) ? -1 : pairs.find(keys.column->values.text(keys.at(i)));
    if (at < 0) {
      missing.push_back(i);
      continue;
    }
    found[0] = *pairs.number(at, inputs[0], none);
    numbers[i] = static_cast<float>(combiner_ == Combiner::None ? found[0] : combine(combiner_, found));
  }
  rules.normalizer.column(numbers);
  return column_of_numbers(rules, std::move(numbers), missing);
}

void LookupKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& map_cells = inputs[0];
  const Cells& key_cells = inputs[1];
  PairMap map;
  if (map_cells.constant()) map.read(map_cells, 0);
  // Text stays a double up to the normalizer, whose formula is double for it and float32 for numbers.
  const bool text = map_cells.column->shape != Shape::Map || map_cells.column->values.type == Type::String;
  const auto emit_number = [&](double number) { return text ? sink.parsed(number) : sink.number(number); };
  std::vector<double> found;
  std::string key_value;

  const auto look_up = [&](std::string_view key) {
    const int32_t at = map.find(key);
    if (at < 0) return;
    if (!discrete_) {
      if (auto number = map.number(at, map_cells, sink.counts())) found.push_back(*number);
      return;
    }
    map.text(at, [&](std::string_view value) {
      if (!need_key_) return sink.token(value);
      key_value.assign(key).append("_").append(value);
      sink.token(std::string_view(key_value));
    });
  };

  for (int64_t i = 0; i < rows; ++i) {
    if (!map_cells.constant()) map.read(map_cells, i);
    found.clear();
    for_each_text(key_cells, i, separator_, look_up);
    if (combiner_ == Combiner::None) {
      for (double number : found) emit_number(number);
    } else if (!found.empty()) {
      emit_number(combine(combiner_, found));
    }
    sink.end_row();
  }
}

}  // namespace recserve
