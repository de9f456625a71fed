// Pairs of texts, asked for by key: what maps of one cell come to.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "features/text_index.h"

namespace recserve {

/// The last of `size` texts that is equal to `key`, or -1.
template <class TextAt>
int32_t last_equal(int32_t size, std::string_view key, TextAt&& text_at) {
  for (int32_t i = size - 1; i >= 0; --i) {
    const std::string_view other = text_at(i);
    // The last byte tells most texts of one length apart, without a call.
    if (other.size() == key.size() && (key.empty() || other.back() == key.back()) && other == key) return i;
  }
  return -1;
}

/// The texts stay with the caller and must outlive the pairs. Of a repeated key the last pair counts. A map
/// that is asked once or twice is searched from the end; one that is asked often (a user's, by every item)
/// gets an index. `clear` keeps the memory.
class Pairs {
 public:
  /// An index costs as much as so many searches, or more.
  static constexpr int32_t kSearches = 8;

  void clear() {
    keys_.clear();
    values_.clear();
    last_.clear();
    asked_ = 0;
  }
  void insert(std::string_view key, std::string_view value) {
    keys_.push_back(key);
    values_.push_back(value);
  }

  int32_t size() const { return static_cast<int32_t>(keys_.size()); }
  std::string_view key(int32_t i) const { return keys_[i]; }
  std::string_view value(int32_t i) const { return values_[i]; }

  /// The last pair of that key, or -1.
  int32_t find(std::string_view key) {
    if (last_.empty() && ++asked_ > kSearches) make_index();
    if (last_.empty()) return last_equal(size(), key, [&](int32_t i) { return keys_[i]; });
    const int32_t number = index_.find(key);
    return number < 0 ? -1 : last_[number];
  }

  /// The last pair of every key, in the order of the keys' first appearance.
  const std::vector<int32_t>& distinct() {
    if (last_.empty()) make_index();
    return last_;
  }

 private:
  void make_index() {
    index_.clear();
    index_.reserve(size());
    for (int32_t i = 0; i < size(); ++i) {
      const int32_t number = index_.insert(keys_[i]);
      if (number == static_cast<int32_t>(last_.size()))
        last_.push_back(i);
      else
        last_[number] = i;
    }
  }

  std::vector<std::string_view> keys_;
  std::vector<std::string_view> values_;
  TextIndex index_;
  std::vector<int32_t> last_;  // by number of the index; empty: there is none
  int32_t asked_ = 0;
};

}  // namespace recserve
