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
    slots_.assign(slots_.size(), Slot());
  }
  /// Makes room for so many texts.
  void reserve(int64_t texts) {
    while (slots_.size() < 2 * static_cast<size_t>(texts)) grow();
  }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  std::string_view operator[](int32_t i) const { return texts_[i]; }

  /// The text's number, a new one if it was not there.
  int32_t insert(std::string_view text) {
    if (texts_.size() * 2 >= slots_.size()) grow();
    const uint64_t hash = murmur64a(text);
    Slot& slot = slots_[slot_of(text, hash)];
    if (slot.text < 0) {
      slot = {static_cast<uint32_t>(hash), size()};
      texts_.push_back(text);
    }
    return slot.text;
  }

  /// The text's number, or -1.
  int32_t find(std::string_view text) const {
    return slots_.empty() ? -1 : slots_[slot_of(text, murmur64a(text))].text;
  }

 private:
  struct Slot {
    uint32_t hash = 0;  // its low half: over 2^32 slots there are none
    int32_t text = -1;  // -1 = free
  };

  size_t slot_of(std::string_view text, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.text < 0 || (slot.hash == static_cast<uint32_t>(hash) && texts_[slot.text] == text)) return at;
    }
  }

  void grow() {
    std::vector<Slot> before(slots_.empty() ? 16 : slots_.size() * 2);
    before.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Slot& slot : before) {
      if (slot.text < 0) continue;
      size_t at = slot.hash & mask;
      while (slots_[at].text >= 0) at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two of them, half in use at most
  std::vector<std::string_view> texts_;
};

}  // namespace recserve
