// Finds texts: a hash table from text to the order in which it was first inserted.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "features/hash.h"

namespace recserve {

/// The texts themselves stay with the caller and must outlive the index. `clear` keeps the memory, so that an
/// index on the stack of a loop allocates once.
class TextIndex {
 public:
  void clear() {
    texts_.clear();
    slots_.assign(slots_.size(), -1);
  }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  std::string_view operator[](int32_t i) const { return texts_[i]; }

  /// The text's number, a new one if it was not there.
  int32_t insert(std::string_view text) {
    if (texts_.size() * 2 >= slots_.size()) grow();
    int32_t& slot = slots_[slot_of(text)];
    if (slot < 0) {
      slot = size();
      texts_.push_back(text);
    }
    return slot;
  }

  /// The text's number, or -1.
  int32_t find(std::string_view text) const { return slots_.empty() ? -1 : slots_[slot_of(text)]; }

 private:
  size_t slot_of(std::string_view text) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = murmur64a(text) & mask;; at = (at + 1) & mask) {
      if (slots_[at] < 0 || texts_[slots_[at]] == text) return at;
    }
  }

  void grow() {
    slots_.assign(slots_.empty() ? 16 : slots_.size() * 2, -1);
    for (int32_t i = 0; i < size(); ++i) slots_[slot_of(texts_[i])] = i;
  }

  std::vector<int32_t> slots_;  // a power of two of them, half in use at most; -1 = free
  std::vector<std::string_view> texts_;
};

}  // namespace recserve
