#include "features/match.h"

#include <deque>

#include "features/pairs.h"

namespace recserve {

namespace {

/// Reads "a:1,b:2" and its like; a pair without `colon` is ignored.
void insert_all(Pairs& pairs, std::string_view text, char comma, char colon) {
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(comma, start), text.size());
    std::string_view pair = text.substr(start, end - start);
    if (size_t cut = pair.find(colon); cut != std::string_view::npos) {
      pairs.insert(pair.substr(0, cut), pair.substr(cut + 1));
    }
    start = end + 1;
  }
}

/// One nested map. Inner maps are read when they are first asked for: most never are.
class NestedMap {
 public:
  void read(const Cells& cells, int64_t row) {
    outer_.clear();
    written_.clear();
    if (!cells.missing(row)) {
      const Column& column = *cells.column;
      const Range range = entries(column, cells.at(row));
      if (column.shape == Shape::Map) {
        read_native(column, range);
      } else if (column.values.type == Type::String) {
        for (int64_t p = range.begin; p < range.end; ++p) insert_all(outer_, column.values.text(p), '|', '^');
      }
    }
    is_read_.assign(outer_.size(), false);
    if (inner_.size() < is_read_.size()) inner_.resize(is_read_.size());
  }

  Pairs& outer() { return outer_; }

  Pairs& inner(int32_t at) {
    if (!is_read_[at]) {
      is_read_[at] = true;
      inner_[at].clear();
      insert_all(inner_[at], outer_.value(at), ',', ':');
    }
    return inner_[at];
  }

 private:
  void read_native(const Column& column, Range range) {
    if (column.values.type != Type::String) return;
    int64_t place = range.begin;
    for_each_entry(column.keys, range, [&]<class T>(T key) {
      std::string_view inner = column.values.text(place++);
      if constexpr (std::is_same_v<T, std::string_view>)
        outer_.insert(key, inner);
      else
        with_text(key, [&](std::string_view text) { outer_.insert(written_.emplace_back(text), inner); });
    });
  }

  Pairs outer_;
  std::vector<Pairs> inner_;         // by pair of outer_; those that are read
  std::vector<bool> is_read_;        // as many as outer_ has
  std::deque<std::string> written_;  // number keys, as text
};

/// The keys asked for at one level of the map: the tokens of an input's cell, or, where ALL is configured
/// instead of an input, every key (multihit) or the key "ALL".
class WantedKeys {
 public:
  WantedKeys(const Cells* input, const MatchKernel::Options& options)
      : input_(input), multihit_(options.multihit), separator_(options.separator) {}

  void read(int64_t row) {
    if (input_ != nullptr) tokens_.read(*input_, row, separator_);
  }

  /// Calls `each` with the places of the wanted keys among `pairs`.
  template <class Each>
  void for_each_hit(Pairs& pairs, Each&& each) const {
    if (input_ == nullptr && multihit_) {
      for (int32_t at : pairs.distinct()) each(at);
    } else if (input_ == nullptr) {
      if (int32_t at = pairs.find("ALL"); at >= 0) each(at);
    } else {
      for (size_t i = 0; i < tokens_.size(); ++i) {
        if (int32_t at = pairs.find(tokens_[i]); at >= 0) each(at);
      }
    }
  }

 private:
  const Cells* input_;
  bool multihit_;
  char separator_;
  Tokens tokens_;
};

/// Gives one value on to the sink.
class Emitter {
 public:
  Emitter(const MatchKernel::Options& options, const Cells& map, Sink& sink)
      : options_(options), map_(map), sink_(sink) {}

  void emit(std::string_view category, std::string_view item, std::string_view value) {
    if (!options_.discrete) {
      if (auto number = parse_double(value)) return sink_.parsed(*number);
      return sink_.counts().unparsable(value, map_.name);
    }
    token_.assign(options_.prefix);
    if (options_.show_category) token_.append(category).push_back('_');
    if (options_.show_item) token_.append(item).push_back('_');
    token_.append(value);
    sink_.token_or(token_, value);
  }

 private:
  const MatchKernel::Options& options_;
  const Cells& map_;
  Sink& sink_;
  std::string token_;
};

}  // namespace

void MatchKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  const Cells& map_cells = inputs[0];
  WantedKeys categories(options_.category_all ? nullptr : &inputs[1], options_);
  WantedKeys items(options_.item_all ? nullptr : &inputs[inputs.size() - 1], options_);
  NestedMap map;
  if (map_cells.constant()) map.read(map_cells, 0);
  Emitter emitter(options_, map_cells, sink);
  for (int64_t i = 0; i < rows; ++i) {
    if (!map_cells.constant()) map.read(map_cells, i);
    categories.read(i);
    items.read(i);
    categories.for_each_hit(map.outer(), [&](int32_t outer) {
      Pairs& inner = map.inner(outer);
      items.for_each_hit(
          inner, [&](int32_t at) { emitter.emit(map.outer().key(outer), inner.key(at), inner.value(at)); });
    });
    sink.end_row();
  }
}

}  // namespace recserve
