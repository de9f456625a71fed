// Hashes that turn text and numbers into bucket ids. They must equal what the training side computed, so
// neither seed nor byte order may change (vectors in conformance/hash.json).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "columns/text.h"

namespace recserve {

/// MurmurHash64A with seed 0xc70f6907, of a text in pieces. They are put together in a register: written to
/// memory and read back as words, they would wait for the writes.
class Murmur64a {
 public:
  /// `size`: of the whole text.
  explicit Murmur64a(size_t size) : hash_(0xc70f6907 ^ (size * kMultiplier)) {}

  void append(std::string_view piece) {
    const char* at = piece.data();
    size_t left = piece.size();
    for (uint64_t word; left >= 8; left -= 8, at += 8) {
      std::memcpy(&word, at, 8);
      push(word, 8);
    }
    if (left > 0) push(short_word(at, left), left);
  }
  /// A byte, then a piece.
  void append(char byte, std::string_view piece) {
    const uint64_t first = static_cast<unsigned char>(byte);
    if (piece.size() < 8 && !piece.empty()) {
      return push(first | short_word(piece.data(), piece.size()) << 8, piece.size() + 1);
    }
    push(first, 1);
    append(piece);
  }

  uint64_t finish() const {
    const uint64_t hash = waiting_ > 0 ? (hash_ ^ word_) * kMultiplier : hash_;
    return mixed(mixed(hash) * kMultiplier);
  }

 private:
  static constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  static uint64_t mixed(uint64_t word) { return word ^ (word >> 47); }

  /// `size` bytes, zeros behind them.
  void push(uint64_t bytes, size_t size) {
    word_ |= bytes << (8 * waiting_);
    if (waiting_ + size < 8) {
      waiting_ += size;
      return;
    }
    hash_ = (hash_ ^ mixed(word_ * kMultiplier) * kMultiplier) * kMultiplier;
    word_ = waiting_ == 0 ? 0 : bytes >> (8 * (8 - waiting_));
    waiting_ = waiting_ + size - 8;
  }

  uint64_t hash_;
  uint64_t word_ = 0;   // bytes that are no whole word yet
  size_t waiting_ = 0;  // how many; 0 to 7
};

/// MurmurHash64A: the default hash of text, and libstdc++'s `std::hash<std::string>`. Inline, as it is most
/// of what an id costs.
inline uint64_t murmur64a(std::string_view bytes) {
  Murmur64a hash(bytes.size());
  hash.append(bytes);
  return hash.finish();
}

/// FarmHash's Fingerprint64: the hash of text when `USE_FARM_HASH_TO_BUCKETIZE` is on.
uint64_t fingerprint64(std::string_view bytes);

/// 0 for 0.0 and -0.0, else murmur64a of the four little-endian bytes: libstdc++'s `std::hash<float>`. Every
/// NaN hashes as the quiet positive one.
uint64_t hash_float(float number);

/// 0 for 0.0 and -0.0, else murmur64a of the eight little-endian bytes: libstdc++'s `std::hash<double>`.
/// Every NaN hashes as the quiet positive one.
uint64_t hash_double(double number);

}  // namespace recserve
