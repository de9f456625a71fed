#include "features/overlap.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "columns/error.h"
#include "features/text_index.h"

namespace recserve {

namespace {

using Method = OverlapKernel::Method;
using Numbers = std::span<const int32_t>;

Method method_of(const std::string& name) {
  static constexpr std::pair<const char*, Method> methods[] = {
      {"query_common_ratio", Method::QueryCommonRatio},
      {"title_common_ratio", Method::TitleCommonRatio},
      {"is_contain", Method::IsContain},
      {"is_equal", Method::IsEqual},
      {"index_of", Method::IndexOf},
      {"proximity_min_cover", Method::ProximityMinCover},
      {"proximity_min_dist", Method::ProximityMinDist},
      {"proximity_max_dist", Method::ProximityMaxDist},
      {"proximity_avg_dist", Method::ProximityAvgDist}};
  std::string known;
  for (const auto& [text, method] : methods) {
    if (name == text) return method;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  throw ConfigError("method '" + name + "' is not known; known: " + known);
}

/// Both token lists as numbers: equal tokens have equal ones, and -1 is a token that the other side lacks.
///
///   query b c b    0 1 0        title a b d    -1 0 -1
///
/// A constant side is numbered once and the other's tokens are looked up; without one it is the query that is
/// numbered, for every row.
class TokenPair {
 public:
  TokenPair(const Cells& query, const Cells& title, char separator)
      : separator_(separator),
        by_title_(title.constant() && !query.constant()),
        numbered_(by_title_ ? title : query),
        found_(by_title_ ? query : title) {
    if (numbered_.cells.constant()) number(0);
    if (found_.cells.constant()) found_.tokens.read(found_.cells, 0, separator_);
  }

  void read(int64_t row) {
    if (!numbered_.cells.constant()) number(row);
    if (!found_.cells.constant()) found_.tokens.read(found_.cells, row, separator_);
    found_.numbers.clear();
    for (size_t i = 0; i < found_.tokens.size(); ++i) {
      found_.numbers.push_back(index_.find(found_.tokens[i]));
    }
  }

  Numbers query() const { return (by_title_ ? found_ : numbered_).numbers; }
  Numbers title() const { return (by_title_ ? numbered_ : found_).numbers; }
  /// Numbers are below it.
  int32_t end() const { return index_.size(); }

  bool query_is_one_token() const {
    const Tokens& tokens = (by_title_ ? found_ : numbered_).tokens;
    for (size_t i = 1; i < tokens.size(); ++i) {
      if (tokens[i] != tokens[0]) return false;
    }
    return true;
  }

 private:
  struct Side {
    explicit Side(const Cells& cells) : cells(cells) {}
    const Cells& cells;
    Tokens tokens;
    std::vector<int32_t> numbers;
  };

  void number(int64_t row) {
    numbered_.tokens.read(numbered_.cells, row, separator_);
    numbered_.numbers.clear();
    index_.clear();
    for (size_t i = 0; i < numbered_.tokens.size(); ++i) {
      numbered_.numbers.push_back(index_.insert(numbered_.tokens[i]));
    }
  }

  char separator_;
  bool by_title_;
  Side numbered_;
  Side found_;
  TextIndex index_;
};

/// Computes one method for row after row; keeps its scratch.
class Overlap {
 public:
  /// Both sides have tokens; numbers are below `end`.
  double value(Method method, const TokenPair& pair) {
    const Numbers query = pair.query();
    const Numbers title = pair.title();
    switch (method) {
      case Method::QueryCommonRatio: return query_common_ratio(query, title, pair.end());
      case Method::TitleCommonRatio: return title_common_ratio(query, title, pair.end());
      case Method::IsContain: return index_of(query, title) >= 0 ? 1 : 0;
      case Method::IsEqual: return std::equal(query.begin(), query.end(), title.begin(), title.end()) ? 1 : 0;
      case Method::IndexOf: return static_cast<double>(index_of(query, title));
      case Method::ProximityMinCover: return min_cover(query, title, pair.end());
      case Method::ProximityMinDist:
      case Method::ProximityMaxDist:
      case Method::ProximityAvgDist: break;
    }
    return distance(method, pair);
  }

 private:
  double query_common_ratio(Numbers query, Numbers title, int32_t end) {
    mark(title, end);
    const auto common =
        std::count_if(query.begin(), query.end(), [&](int32_t token) { return token >= 0 && marks_[token]; });
    return static_cast<double>(common) / static_cast<double>(query.size());
  }

  double title_common_ratio(Numbers query, Numbers title, int32_t end) {
    mark(query, end);
    int64_t common = 0;
    for (int32_t token : title) {
      if (token < 0 || marks_[token] == 0) continue;
      marks_[token] = 0;
      ++common;
    }
    return static_cast<double>(common) / static_cast<double>(title.size());
  }

  /// Where the query first stands in the title; -1: nowhere. Linear, by the query's own borders (Knuth,
  /// Morris and Pratt).
  int64_t index_of(Numbers query, Numbers title) {
    if (query.size() > title.size()) return -1;
    borders_.assign(query.size(), 0);
    for (size_t i = 1, length = 0; i < query.size(); ++i) {
      while (length > 0 && query[i] != query[length]) length = borders_[length - 1];
      if (query[i] == query[length]) ++length;
      borders_[i] = length;
    }
    for (size_t i = 0, length = 0; i < title.size(); ++i) {
      while (length > 0 && title[i] != query[length]) length = borders_[length - 1];
      if (title[i] == query[length]) ++length;
      if (length == query.size()) return static_cast<int64_t>(i + 1 - length);
    }
    return -1;
  }

  /// Moves a window over the title that has every token of the query, shrinking it from the left.
  double min_cover(Numbers query, Numbers title, int32_t end) {
    int64_t lacking = mark(query, end);
    if (std::find(query.begin(), query.end(), -1) != query.end()) return 0;
    counts_.assign(end, 0);
    size_t shortest = 0;
    size_t begin = 0;
    for (size_t i = 0; i < title.size(); ++i) {
      if (title[i] >= 0 && marks_[title[i]] != 0 && counts_[title[i]]++ == 0) --lacking;
      for (; lacking == 0; ++begin) {
        if (shortest == 0 || i + 1 - begin < shortest) shortest = i + 1 - begin;
        if (title[begin] >= 0 && marks_[title[begin]] != 0 && --counts_[title[begin]] == 0) ++lacking;
      }
    }
    return static_cast<double>(shortest);
  }

  double distance(Method method, const TokenPair& pair) {
    const Numbers title = pair.title();
    collect_places(pair.query(), title, pair.end());
    if (places_.size() == 1 && pair.query_is_one_token()) return 0;
    if (places_.size() < 2) return static_cast<double>(title.size() + 1);
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t most = 0;
    double sum = 0;
    for (size_t a = 0; a < places_.size(); ++a) {
      for (size_t b = a + 1; b < places_.size(); ++b) {
        const int64_t nearest = nearest_of(places_[a], places_[b]);
        least = std::min(least, nearest);
        most = std::max(most, nearest);
        sum += static_cast<double>(nearest);
      }
    }
    if (method == Method::ProximityMinDist) return static_cast<double>(least);
    if (method == Method::ProximityMaxDist) return static_cast<double>(most);
    const auto count = static_cast<double>(places_.size());
    return sum / (count * (count - 1) / 2);
  }

  /// Where each distinct token of the query stands in the title, for those that do.
  void collect_places(Numbers query, Numbers title, int32_t end) {
    mark(query, end);
    places_.clear();
    for (size_t i = 0; i < title.size(); ++i) {
      if (title[i] < 0 || marks_[title[i]] == 0) continue;
      int32_t& list = marks_[title[i]];  // 1, or 2 + the place in places_
      if (list == 1) {
        list = 2 + static_cast<int32_t>(places_.size());
        places_.emplace_back();
      }
      places_[list - 2].push_back(static_cast<int64_t>(i));
    }
  }

  /// The smallest distance between an entry of one ascending list and one of another.
  static int64_t nearest_of(const std::vector<int64_t>& left, const std::vector<int64_t>& right) {
    int64_t nearest = std::numeric_limits<int64_t>::max();
    for (size_t l = 0, r = 0; l < left.size() && r < right.size();) {
      nearest = std::min(nearest, std::abs(left[l] - right[r]));
      left[l] < right[r] ? ++l : ++r;
    }
    return nearest;
  }

  /// Sets marks_ to 1 for the tokens in the list, and counts them.
  int64_t mark(Numbers tokens, int32_t end) {
    marks_.assign(end, 0);
    int64_t distinct = 0;
    for (int32_t token : tokens) {
      if (token < 0 || marks_[token] != 0) continue;
      marks_[token] = 1;
      ++distinct;
    }
    return distinct;
  }

  std::vector<int32_t> marks_;   // by number
  std::vector<int64_t> counts_;  // by number
  std::vector<size_t> borders_;  // entry i: length of the longest border of the query's first i + 1 tokens
  std::vector<std::vector<int64_t>> places_;
};

}  // namespace

OverlapKernel::OverlapKernel(char separator, const std::string& method)
    : separator_(separator), method_(method_of(method)) {}

void OverlapKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  TokenPair pair(inputs[0], inputs[1], separator_);
  Overlap overlap;
  for (int64_t i = 0; i < rows; ++i) {
    pair.read(i);
    if (!pair.query().empty() && !pair.title().empty()) sink.number(overlap.value(method_, pair));
    sink.end_row();
  }
}

}  // namespace recserve
