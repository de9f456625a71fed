// The checksum of an image's sections.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "items/hash.h"

namespace recserve::items {

/// 64 bits over bytes that come in pieces, each a multiple of 64 long. Every step is a bijection of its lane,
/// so a change within one word of eight bytes is always found, any other with all but one chance in 2^64.
/// Eight lanes keep the multiplier busy: as fast as memory is read.
class Checksum {
 public:
  static constexpr uint64_t kStep = 64;

  void add(std::span<const uint8_t> bytes) {
    for (uint64_t from = 0; from + kStep <= bytes.size(); from += kStep) {
      uint64_t words[8];
      std::memcpy(words, bytes.data() + from, kStep);
      for (int i = 0; i < 8; ++i) lanes_[i] = (std::rotl(lanes_[i], 29) ^ words[i]) * 0x9fb21c651e98df25ULL;
    }
    bytes_ += bytes.size();
  }

  uint64_t value() const {
    uint64_t all = bytes_;
    for (const uint64_t lane : lanes_) all = mix(std::rotl(all, 23) ^ lane);
    return all;
  }

 private:
  uint64_t lanes_[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  uint64_t bytes_ = 0;
};

}  // namespace recserve::items
