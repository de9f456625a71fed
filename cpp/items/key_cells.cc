#include "items/key_cells.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "columns/text.h"
#include "items/cell_codec.h"

namespace recserve::items {

namespace {

template <class Word>
bool same_ends(const uint8_t* a, const char* b, size_t size) {
  const auto* at = reinterpret_cast<const uint8_t*>(b);
  return load<Word>(a) == load<Word>(at) &&
         load<Word>(a + size - sizeof(Word)) == load<Word>(at + size - sizeof(Word));
}

/// Two texts of 1 to 15 bytes: their first and last words, which overlap, and no call.
bool same_short(const uint8_t* a, const char* b, size_t size) {
  if (size >= 8) return same_ends<uint64_t>(a, b, size);
  if (size >= 4) return same_ends<uint32_t>(a, b, size);
  return short_word(reinterpret_cast<const char*>(a), size) == short_word(b, size);
}

}  // namespace

bool KeyCells::matches(const uint8_t* cell, const Keys& keys, int64_t i) const {
  if (!keys.text()) return load<int64_t>(cell) == keys.int_key(i);
  const std::string_view key = keys.text_key(i);
  if (cell[0] == kLong) return matches_long(cell, key);
  return cell[0] == key.size() && same_short(cell + 1, key.data(), key.size());
}

bool KeyCells::matches_long(const uint8_t* cell, std::string_view key) const {
  return bytes_of(cell, true) == key;
}

std::string_view KeyCells::bytes_of(const uint8_t* cell, bool text) const {
  if (!text) return {reinterpret_cast<const char*>(cell), 8};
  if (cell[0] != kLong) return {reinterpret_cast<const char*>(cell + 1), cell[0]};
  const uint8_t* bytes = texts_->at(load<uint32_t>(cell + 4));
  const uint64_t size = take_length(bytes);
  return {reinterpret_cast<const char*>(bytes), size};
}

void KeyCells::prefetch(const uint8_t* cell, const Keys& keys) const {
  if (keys.text() && cell[0] == kLong) __builtin_prefetch(texts_->at(load<uint32_t>(cell + 4)));
}

void KeyCells::write(const Keys& keys, int64_t i, const uint8_t* known, uint8_t* cell) {
  if (!keys.text()) {
    const int64_t key = keys.int_key(i);
    std::memcpy(cell, &key, sizeof(key));
    return;
  }
  const std::string_view key = keys.text_key(i);
  if (known != nullptr && copy_known(known, cell)) return;
  if (key.size() <= kInline) {
    cell[0] = static_cast<uint8_t>(key.size());
    std::memcpy(cell + 1, key.data(), key.size());
  } else {
    std::vector<char> text;
    put_length(text, key.size());
    text.insert(text.end(), key.begin(), key.end());
    std::lock_guard lock(texts_->mutex());
    const uint32_t handle = texts_->append({text.data(), text.size()});
    cell[0] = kLong;
    std::memcpy(cell + 4, &handle, sizeof(handle));
  }
}

bool KeyCells::copy_known(const uint8_t* known, uint8_t* cell) const {
  if (known[0] == kLong && texts_->any_leaving()) {
    std::lock_guard lock(texts_->mutex());
    if (texts_->leaving(load<uint32_t>(known + 4))) return false;
  }
  std::memcpy(cell, known, bytes(true));
  return true;
}

uint32_t KeyCells::hash(const uint8_t* cell, bool text) const {
  return text ? Keys::hash_of(bytes_of(cell, true)) : Keys::hash_of(load<int64_t>(cell));
}

bool KeyCells::sound(const uint8_t* cell) const {
  if (cell[0] != kLong) return cell[0] > 0 && cell[0] <= kInline;
  const auto handle = load<uint32_t>(cell + 4);
  if (handle == 0 || !texts_->holds(handle)) return false;
  uint8_t length[10];  // of a number of 64 bits
  const uint64_t left = texts_->readable(handle);
  std::memcpy(length, texts_->at(handle), std::min<uint64_t>(left, sizeof(length)));
  if (left < sizeof(length)) return false;  // long keys have more bytes than that
  length[9] &= 127;
  const uint8_t* at = length;
  const uint64_t size = take_length(at);
  return size <= left - static_cast<uint64_t>(at - length);
}

}  // namespace recserve::items
