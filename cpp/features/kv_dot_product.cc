#include "features/kv_dot_product.h"

#include <algorithm>
#include <deque>

#include "features/text_index.h"

namespace recserve {

namespace {

/// One side: its cells, and how their pairs are cut.
struct Side {
  const Cells& cells;
  char separator;
  char delimiter;

  /// Calls `each(key, value)` for the pairs of a cell. The key is a view, or a number that the cell has; the
  /// value is a view or a number, 1.0 for a key that stands alone.
  template <class Each>
  void for_each_pair(int64_t row, Each&& each) const {
    if (cells.column->shape != Shape::Map) {
      return for_each_token(cells, row, separator, [&]<class T>(T token) {
        if constexpr (std::is_same_v<T, std::string_view>) {
          const size_t cut = token.find(delimiter);
          if (cut != std::string_view::npos) return each(token.substr(0, cut), token.substr(cut + 1));
        }
        each(token, 1.0);
      });
    }
    if (cells.missing(row)) return;
    const Range range = entries(*cells.column, cells.at(row));
    int64_t place = range.begin;
    for_each_entry(cells.column->keys, range, [&](auto key) {
      for_each_entry(cells.column->values, {place, place + 1}, [&](auto value) { each(key, value); });
      ++place;
    });
  }

  /// Calls `each(key, number)`. False where there is no pair, or where a value is no number.
  template <class Each>
  bool for_each_weight(int64_t row, Counts& counts, Each&& each) const {
    bool any = false;
    bool readable = true;
    for_each_pair(row, [&]<class V>(auto key, V value) {
      any = true;
      if constexpr (std::is_same_v<V, std::string_view>) {
        if (!readable) return;
        const auto number = parse_double(value);
        readable = number.has_value();
        if (number) return each(key, *number);
        counts.unparsable(value, cells.name);
      } else {
        each(key, static_cast<double>(value));
      }
    });
    return any && readable;
  }
};

/// The weights of one cell, by key.
class Weights {
 public:
  /// False: the cell is missing.
  bool read(const Side& side, int64_t row, Counts& counts) {
    keys_.clear();
    numbers_.clear();
    written_.clear();
    return side.for_each_weight(row, counts, [&]<class K>(K key, double number) {
      if constexpr (std::is_same_v<K, std::string_view>) {
        insert(key, number);
      } else {
        with_text(key, [&](std::string_view text) { insert(written_.emplace_back(text), number); });
      }
    });
  }

  int32_t find(std::string_view key) const { return keys_.find(key); }
  double operator[](int32_t at) const { return numbers_[at]; }

 private:
  void insert(std::string_view key, double number) {
    const auto at = static_cast<size_t>(keys_.insert(key));
    if (at == numbers_.size())
      numbers_.push_back(number);
    else
      numbers_[at] = number;
  }

  TextIndex keys_;
  std::vector<double> numbers_;
  std::deque<std::string> written_;  // number keys, as text
};

/// Multiplies row after row. A constant side is hashed once and the pairs of the other are looked up in it;
/// without one it is the query that is hashed, for every row.
class DotProduct {
 public:
  DotProduct(const Side& query, const Side& document, Counts& counts)
      : by_document_(document.cells.constant() && !query.cells.constant()),
        hashed_(by_document_ ? document : query),
        walked_(by_document_ ? query : document),
        counts_(counts) {
    if (hashed_.cells.constant()) present_ = weights_.read(hashed_, 0, counts_);
  }

  /// Nothing when a side is missing.
  std::optional<double> of_row(int64_t row) {
    if (!hashed_.cells.constant()) present_ = weights_.read(hashed_, row, counts_);
    for (const Hit& hit : hits_) places_[hit.at] = -1;
    hits_.clear();
    const bool walked = walked_.for_each_weight(row, counts_, [&](auto key, double number) {
      with_text(key, [&](std::string_view text) {
        if (const int32_t at = weights_.find(text); at >= 0) hit(at, number);
      });
    });
    if (!walked || !present_) return {};
    // The sum is the same, to the bit, whichever side is constant: it goes by the query's keys.
    if (!by_document_) std::sort(hits_.begin(), hits_.end(), [](Hit a, Hit b) { return a.at < b.at; });
    double sum = 0;
    for (const Hit& hit : hits_) sum += hit.number * weights_[hit.at];
    return sum;
  }

 private:
  struct Hit {
    int32_t at;  // of the key in weights_
    double number;
  };

  void hit(int32_t at, double number) {
    if (static_cast<size_t>(at) >= places_.size()) places_.resize(at + 1, -1);
    int32_t& place = places_[at];
    if (place < 0) {
      place = static_cast<int32_t>(hits_.size());
      hits_.push_back({at, number});
    } else {
      hits_[place].number = number;  // of a repeated key the last counts
    }
  }

  bool by_document_;
  Side hashed_;
  Side walked_;
  Counts& counts_;
  Weights weights_;
  bool present_ = false;
  std::vector<Hit> hits_;
  std::vector<int32_t> places_;  // by key: where in hits_, or -1
};

}  // namespace

void KvDotProductKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  DotProduct product({inputs[0], separator_, delimiter_}, {inputs[1], separator_, delimiter_}, sink.counts());
  for (int64_t i = 0; i < rows; ++i) {
    if (const auto number = product.of_row(i)) sink.number(*number);
    sink.end_row();
  }
}

}  // namespace recserve
