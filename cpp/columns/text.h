// How text and numbers turn into one another, and how text is cut: the rules that wire, items and features
// must share to the bit (docs/reference/features.md).
#pragma once

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace recserve {

/// Cuts multi-value text wherever it was cut by the training side, whatever `separator` is configured.
inline constexpr char kValueSeparator = '\x1d';

/// Enough for any number that `format` writes.
inline constexpr int kNumberChars = 32;

/// Writes plain decimal at `out` (kNumberChars long) and returns the text.
inline std::string_view format(int64_t number, char* out) {
  auto end = std::to_chars(out, out + kNumberChars, number).ptr;
  return {out, static_cast<size_t>(end - out)};
}

/// The shortest text of at most six significant digits, as printf's %.6g: 5.2 -> "5.2", 3.0 -> "3". Any NaN
/// is "nan", -0.0 is "0".
std::string_view format(double number, char* out);

/// A decimal number with optional surrounding blanks, sign, point and exponent; also inf and nan. Nothing
/// when the text is anything else.
std::optional<double> parse_double(std::string_view text);

/// A decimal integer with optional surrounding blanks, sign ("+01" is 1) that fits int64.
std::optional<int64_t> parse_int64(std::string_view text);

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

/// One of the bytes is \x1d or `separator`. Eight at a time: it is asked of every text, and most say no.
inline bool has_separator(std::string_view text, char separator) {
  constexpr uint64_t kLow = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  const uint64_t first = kLow * static_cast<unsigned char>(kValueSeparator);
  const uint64_t second = kLow * static_cast<unsigned char>(separator);
  const auto found = [&](uint64_t word) {  // x - 1 borrows into the high bit of a byte where x is 0
    const uint64_t x = word ^ first, y = word ^ second;
    return (((x - kLow) & ~x) | ((y - kLow) & ~y)) & kHigh;
  };
  const char* at = text.data();
  size_t left = text.size();
  for (uint64_t word; left >= 8; left -= 8, at += 8) {
    std::memcpy(&word, at, 8);
    if (found(word) != 0) return true;
  }
  if (left == 0 || found(short_word(at, left)) == 0) return false;
  // The zeros behind the bytes are found, too, where the separator is one.
  return std::string_view(at, left).find(kValueSeparator) != std::string_view::npos ||
         std::string_view(at, left).find(separator) != std::string_view::npos;
}

/// Calls `each(piece)` for the non-empty pieces between separators.
template <class Each>
void for_each_value(std::string_view text, char separator, Each&& each) {
  if (!has_separator(text, separator)) {
    if (!text.empty()) each(text);
    return;
  }
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == kValueSeparator || text[i] == separator) {
      if (i > start) each(text.substr(start, i - start));
      start = i + 1;
    }
  }
}

/// As `for_each_element` below, for a delimiter of one byte: eight bytes are looked at together.
template <class Each>
void for_each_element(std::string_view text, char delimiter, int64_t limit, Each&& each) {
  constexpr uint64_t kSevenBits = 0x7f7f7f7f7f7f7f7f;
  const uint64_t wanted = 0x0101010101010101 * static_cast<unsigned char>(delimiter);
  size_t start = 0;
  int64_t left = limit > 0 ? limit : INT64_MAX;
  const auto cut = [&](size_t at) {
    each(text.substr(start, at - start));
    start = at + 1;
    return --left > 0;
  };
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    word ^= wanted;
    // The high bit of every byte that is zero, and of no other.
    for (uint64_t zero = ~(((word & kSevenBits) + kSevenBits) | word | kSevenBits); zero != 0;
         zero &= zero - 1) {
      if (!cut(i + static_cast<size_t>(std::countr_zero(zero)) / 8)) return;
    }
  }
  for (; i < text.size(); ++i) {
    if (text[i] == delimiter && !cut(i)) return;
  }
  cut(text.size());
}

/// Calls `each(piece)` for the pieces of a sequence cell between occurrences of `delimiter` (one or more
/// bytes), empty pieces included; `limit` > 0 stops after that many. An empty text has no pieces.
template <class Each>
void for_each_element(std::string_view text, std::string_view delimiter, int64_t limit, Each&& each) {
  if (text.empty()) return;
  if (delimiter.size() == 1) return for_each_element(text, delimiter[0], limit, each);
  for (int64_t count = 1;; ++count) {
    size_t at = text.find(delimiter);
    each(text.substr(0, at));
    if (at == std::string_view::npos || count == limit) return;
    text.remove_prefix(at + delimiter.size());
  }
}

}  // namespace recserve
