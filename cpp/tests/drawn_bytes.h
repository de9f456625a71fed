// A fuzzer's bytes as the choices that they stand for.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace recserve::testing {

/// Reads from the front; behind the end everything is 0, so that a shorter input is a simpler case.
class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }

  /// Below `end`, which is at most 256.
  size_t below(size_t end) { return byte() % end; }
  /// True in one of `n` bytes, and not for 0.
  bool one_in(size_t n) { return byte() % n == n - 1; }

  template <class T>
  T bits() {
    uint8_t raw[sizeof(T)];
    for (uint8_t& each : raw) each = byte();
    T value;
    std::memcpy(&value, raw, sizeof(T));
    return value;
  }

  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[below(choices.size())];
  }

  /// Up to `longest` bytes as they come.
  std::string raw(size_t longest) {
    std::string text(below(longest + 1), '\0');
    for (char& each : text) each = static_cast<char>(byte());
    return text;
  }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace recserve::testing
