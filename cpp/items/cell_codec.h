// How values lie in cells and heaps, shared by the writing and the reading side.
//
//   string        length, bytes
//   list          count, block
//   map           count, block of keys, block of values
//   nested        count, values in all, length of each inner list, block
//   block         numbers: fixed width; strings: length of each, then all their bytes
//
// Lengths and counts are LEB128: one byte below 128. Numbers are little-endian and unaligned.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "items/fields.h"

namespace recserve::items {

static_assert(std::endian::native == std::endian::little, "cells are little-endian");

inline void put_length(std::vector<char>& out, uint64_t length) {
  for (; length >= 128; length >>= 7) out.push_back(static_cast<char>(length | 128));
  out.push_back(static_cast<char>(length));
}

inline uint64_t take_length(const uint8_t*& at) {
  uint64_t length = *at++;
  if (length < 128) return length;
  length &= 127;
  for (int shift = 7;; shift += 7) {
    const uint64_t byte = *at++;
    length |= (byte & 127) << shift;
    if (byte < 128) return length;
  }
}

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// Calls `use.template operator()<Value, Stored>()` with unsigned types of a number's width in a column and
/// in a cell: their bits are what is copied, whatever the number is.
template <class Use>
auto with_widths(int64_t value_bytes, int32_t stored_bytes, Use&& use) {
  if (value_bytes == 4) {
    switch (stored_bytes) {
      case 1: return use.template operator()<uint32_t, uint8_t>();
      case 2: return use.template operator()<uint32_t, uint16_t>();
      default: return use.template operator()<uint32_t, uint32_t>();
    }
  }
  switch (stored_bytes) {
    case 1: return use.template operator()<uint64_t, uint8_t>();
    case 2: return use.template operator()<uint64_t, uint16_t>();
    case 4: return use.template operator()<uint64_t, uint32_t>();
    default: return use.template operator()<uint64_t, uint64_t>();
  }
}

}  // namespace recserve::items
