// The hash of keys and of interned cells. Images hold tables that are made of it, and
// refuse to be read when it has changed (image_directory.cc).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "columns/text.h"

namespace recserve::items {

inline uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = 0x9e3779b97f4a7c15ULL ^ bytes.size();
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0xa0761d6478bd642fULL;
    hash ^= hash >> 29;
  }
  const uint64_t rest = i == bytes.size() ? 0 : short_word(bytes.data() + i, bytes.size() - i);
  return mix(hash ^ rest);
}

}  // namespace recserve::items
