#include "features/lookup.h"

#include <deque>

#include "features/text_index.h"

namespace recserve {

namespace {

/// One map cell, by key. Views into the column's memory; number keys are written out into `written`.
class PairMap {
 public:
  void read(const Cells& cells, int64_t row) {
    keys_.clear();
    texts_.clear();
    places_.clear();
    written_.clear();
    if (cells.missing(row)) return;
    const Column& column = *cells.column;
    if (column.shape != Shape::Map) {
      for_each_token(cells, row, kValueSeparator, [&]<class T>(T token) {
        if constexpr (std::is_same_v<T, std::string_view>) insert_pair(token);
      });
      return;
    }
    native_ = &column.values;
    const Range range = entries(column, cells.at(row));
    keys_.reserve(range.end - range.begin);
    int64_t place = range.begin;
    for_each_entry(column.keys, range, [&]<class T>(T key) {
      if constexpr (std::is_same_v<T, std::string_view>) {
        insert(key, {}, place++);
      } else {
        with_text(key, [&](std::string_view text) { insert(written_.emplace_back(text), {}, place++); });
      }
    });
  }

  int32_t find(std::string_view key) const { return keys_.find(key); }

  /// Calls `use` with the value as text.
  template <class Use>
  void text(int32_t found, Use&& use) const {
    if (places_[found] < 0) return use(texts_[found]);
    const int64_t place = places_[found];
    for_each_entry(*native_, {place, place + 1}, [&](auto value) { with_text(value, use); });
  }

  /// The value as a number; nothing, counted, when it is text that is none.
  std::optional<double> number(int32_t found, const Cells& cells, Counts& counts) const {
    std::optional<double> result;
    const auto parse = [&](std::string_view text) {
      result = parse_double(text);
      if (!result) counts.unparsable(text, cells.name);
    };
    if (places_[found] < 0) {
      parse(texts_[found]);
      return result;
    }
    const int64_t place = places_[found];
    for_each_entry(*native_, {place, place + 1}, [&]<class T>(T value) {
      if constexpr (std::is_same_v<T, std::string_view>)
        parse(value);
      else
        result = static_cast<double>(value);
    });
    return result;
  }

 private:
  void insert_pair(std::string_view pair) {
    size_t colon = pair.find(':');
    if (colon != std::string_view::npos) insert(pair.substr(0, colon), pair.substr(colon + 1), -1);
  }

  void insert(std::string_view key, std::string_view text, int64_t place) {
    auto at = static_cast<size_t>(keys_.insert(key));
    if (at == texts_.size()) {
      texts_.push_back(text);
      places_.push_back(place);
    } else {
      texts_[at] = text;
      places_[at] = place;
    }
  }

  TextIndex keys_;
  std::vector<std::string_view> texts_;  // values that are text of their own
  std::vector<int64_t> places_;          // or where in the native map's values, else -1
  const Values* native_ = nullptr;
  std::deque<std::string> written_;
};

}  // namespace

LookupKernel::LookupKernel(char separator, bool discrete, bool need_key, const std::string& combiner)
    : separator_(separator), discrete_(discrete), need_key_(need_key), combiner_(combiner_of(combiner)) {}

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
