#include "features/hash.h"

#include <cmath>
#include <limits>

namespace recserve {

namespace {

template <class Word>
Word word_at(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

uint64_t word64(const char* at) { return word_at<uint64_t>(at); }
uint64_t word32(const char* at) { return word_at<uint32_t>(at); }
uint64_t byte(char c) { return static_cast<unsigned char>(c); }

uint64_t shift_mix(uint64_t word) { return word ^ (word >> 47); }

}  // namespace

// --- Fingerprint64: one recipe per range of lengths, as published by Google under the name farmhashna ------

namespace {

constexpr uint64_t kPrime0 = 0xc3a5c85c97cb3127;
constexpr uint64_t kPrime1 = 0xb492b66fbe98f273;
constexpr uint64_t kPrime2 = 0x9ae16a3b2f90404f;

/// Two words into one; `multiplier` is odd and carries the length.
uint64_t fold(uint64_t low, uint64_t high, uint64_t multiplier) {
  uint64_t mixed = shift_mix((low ^ high) * multiplier);
  return shift_mix((high ^ mixed) * multiplier) * multiplier;
}

uint64_t length_multiplier(size_t length) { return kPrime2 + 2 * length; }

uint64_t hash_up_to_16(std::string_view s) {
  const size_t length = s.size();
  const char* end = s.data() + length;
  if (length >= 8) {
    uint64_t multiplier = length_multiplier(length);
    uint64_t first = word64(s.data()) + kPrime2;
    uint64_t last = word64(end - 8);
    return fold(std::rotr(last, 37) * multiplier + first, (std::rotr(first, 25) + last) * multiplier,
                multiplier);
  }
  if (length >= 4) {
    return fold(length + (word32(s.data()) << 3), word32(end - 4), length_multiplier(length));
  }
  if (length > 0) {
    uint64_t front = byte(s[0]) + (byte(s[length / 2]) << 8);
    uint64_t back = length + (byte(s[length - 1]) << 2);
    return shift_mix(front * kPrime2 ^ back * kPrime0) * kPrime2;
  }
  return kPrime2;
}

/// The two words that 16 bytes at either end of a text of 17 to 64 bytes give.
struct Ends {
  uint64_t front, sum, rotated;

  Ends(std::string_view s, uint64_t front_prime, uint64_t multiplier) {
    const char* end = s.data() + s.size();
    front = word64(s.data()) * front_prime;
    uint64_t second = word64(s.data() + 8);
    uint64_t last = word64(end - 8) * multiplier;
    sum = std::rotr(front + second, 43) + std::rotr(last, 30) + word64(end - 16) * kPrime2;
    rotated = front + std::rotr(second + kPrime2, 18) + last;
  }
};

uint64_t hash_17_to_32(std::string_view s) {
  uint64_t multiplier = length_multiplier(s.size());
  Ends ends(s, kPrime1, multiplier);
  return fold(ends.sum, ends.rotated, multiplier);
}

uint64_t hash_33_to_64(std::string_view s) {
  uint64_t multiplier = length_multiplier(s.size());
  const char* end = s.data() + s.size();
  Ends ends(s, kPrime2, multiplier);
  uint64_t folded = fold(ends.sum, ends.rotated, multiplier);
  uint64_t third = word64(s.data() + 16) * multiplier;
  uint64_t fourth = word64(s.data() + 24);
  uint64_t inner = (ends.sum + word64(end - 32)) * multiplier;
  uint64_t outer = (folded + word64(end - 24)) * multiplier;
  return fold(std::rotr(third + fourth, 43) + std::rotr(inner, 30) + outer,
              third + std::rotr(fourth + ends.front, 18) + inner, multiplier);
}

struct Pair {
  uint64_t first = 0, second = 0;
};

/// Takes 32 bytes into a pair.
Pair absorb32(const char* at, uint64_t first, uint64_t second) {
  first += word64(at);
  uint64_t sum = first + word64(at + 8) + word64(at + 16);
  second = std::rotr(second + first + word64(at + 24), 21) + std::rotr(sum, 44);
  return {sum + word64(at + 24), second + first};
}

/// 56 bytes of state for texts over 64 bytes; each step takes 64 of them.
struct LongState {
  uint64_t x, y, z;
  Pair v, w;

  /// `carry` is 1 but for the last block, which weighs what is carried over by 9.
  void absorb64(const char* at, uint64_t multiplier, uint64_t carry) {
    x = std::rotr(x + y + v.first + word64(at + 8), 37) * multiplier;
    y = std::rotr(y + v.second + word64(at + 48), 42) * multiplier;
    x ^= w.second * carry;
    y += v.first * carry + word64(at + 40);
    z = std::rotr(z + w.first, 33) * multiplier;
    v = absorb32(at, v.second * multiplier, x + w.first);
    w = absorb32(at + 32, z + w.second, y + word64(at + 16));
    std::swap(x, z);
  }
};

uint64_t hash_over_64(std::string_view s) {
  constexpr uint64_t kSeed = 81;
  LongState state{
      .x = kSeed * kPrime2 + word64(s.data()), .y = kSeed * kPrime1 + 113, .z = 0, .v = {}, .w = {}};
  state.z = shift_mix(state.y * kPrime2 + 113) * kPrime2;

  const size_t whole = (s.size() - 1) / 64;  // blocks before the last one, which may overlap them
  for (size_t block = 0; block < whole; ++block) state.absorb64(s.data() + 64 * block, kPrime1, 1);

  uint64_t multiplier = kPrime1 + ((state.z & 0xff) << 1);
  state.w.first += (s.size() - 1) % 64;
  state.v.first += state.w.first;
  state.w.first += state.v.first;
  state.absorb64(s.data() + s.size() - 64, multiplier, 9);

  uint64_t low = fold(state.v.first, state.w.first, multiplier) + shift_mix(state.y) * kPrime0 + state.z;
  uint64_t high = fold(state.v.second, state.w.second, multiplier) + state.x;
  return fold(low, high, multiplier);
}

}  // namespace

uint64_t fingerprint64(std::string_view bytes) {
  if (bytes.size() <= 16) return hash_up_to_16(bytes);
  if (bytes.size() <= 32) return hash_17_to_32(bytes);
  if (bytes.size() <= 64) return hash_33_to_64(bytes);
  return hash_over_64(bytes);
}

// The sign and the payload of a NaN are no part of its value: 0/0 is negative on x86 and positive on ARM. One
// NaN stands for all, so that an id does not depend on the machine.

uint64_t hash_float(float number) {
  if (number == 0) return 0;
  if (std::isnan(number)) number = std::numeric_limits<float>::quiet_NaN();
  return murmur64a({reinterpret_cast<const char*>(&number), sizeof number});
}

uint64_t hash_double(double number) {
  if (number == 0) return 0;
  if (std::isnan(number)) number = std::numeric_limits<double>::quiet_NaN();
  return murmur64a({reinterpret_cast<const char*>(&number), sizeof number});
}

}  // namespace recserve
