// Hashes that turn text and numbers into bucket ids. They must equal what the training side computed, so
// neither seed nor byte order may change (vectors in conformance/hash.json).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace recserve {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

/// The bytes of a text of 1 to 7 as one word, zeros behind them. No call and no loop: texts are mostly short.
inline uint64_t short_word(const char* text, size_t size) {
  if (size >= 4) {
    uint32_t front, back;  // they overlap in the middle
    std::memcpy(&front, text, 4);
    std::memcpy(&back, text + size - 4, 4);
    return front | uint64_t{back} << (8 * (size - 4));
  }
  const auto byte = [&](size_t at) { return uint64_t{static_cast<unsigned char>(text[at])} << (8 * at); };
  return byte(0) | byte(size / 2) | byte(size - 1);
}

/// MurmurHash64A with seed 0xc70f6907: the default hash of text, and libstdc++'s `std::hash<std::string>`.
/// Inline, as it is most of what an id costs.
inline uint64_t murmur64a(std::string_view bytes) {
  constexpr uint64_t kSeed = 0xc70f6907;
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr auto mixed = [](uint64_t word) { return word ^ (word >> 47); };
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = kSeed ^ (left * kMultiplier);
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = (hash ^ mixed(word * kMultiplier) * kMultiplier) * kMultiplier;
  }
  if (left > 0) hash = (hash ^ short_word(at, left)) * kMultiplier;
  return mixed(mixed(hash) * kMultiplier);
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
