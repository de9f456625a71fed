#include "columns/text.h"

#include <cmath>
#include <limits>
#ifndef __cpp_lib_to_chars
#include <clocale>
#if __has_include(<xlocale.h>)
#include <xlocale.h>
#endif
#endif

namespace recserve {

namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Without surrounding blanks and without one leading plus, which from_chars does not take.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

struct Parsed {
  double number = 0;
  size_t read = 0;  // characters that are part of it
  bool out_of_range = false;
};

#ifdef __cpp_lib_to_chars
Parsed parse(std::string_view text) {
  Parsed parsed;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed.number);
  if (error == std::errc::invalid_argument) return {};
  parsed.read = static_cast<size_t>(end - text.data());
  parsed.out_of_range = error == std::errc::result_out_of_range;
  return parsed;
}
#else
/// libc++ before version 20 (macOS) reads no floats by from_chars. strtod_l rounds as well, and takes more:
/// blanks, a plus and hexadecimal digits, which are refused here.
Parsed parse(std::string_view text) {
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  if (text.empty() || is_blank(text[0]) || text[0] == '+') return {};
  if (text.find_first_of("xX") != std::string_view::npos) return {};
  const std::string ended(text);
  char* end = nullptr;
  const double number = strtod_l(ended.c_str(), &end, plain);
  return {number, static_cast<size_t>(end - ended.c_str()), false};
}
#endif

}  // namespace

std::string_view format(double number, char* out) {
  if (number == 0) number = 0;  // -0.0 reads "0", as the integer does
  // The sign of a NaN is no part of its value, and which one 0/0 has depends on the processor.
  if (std::isnan(number)) number = std::numeric_limits<double>::quiet_NaN();
  auto end = std::to_chars(out, out + kNumberChars, number, std::chars_format::general, 6).ptr;
  return {out, static_cast<size_t>(end - out)};
}

std::optional<double> parse_double(std::string_view text) {
  text = trimmed(text);
  const Parsed parsed = parse(text);
  if (text.empty() || parsed.read != text.size()) return {};
  if (parsed.out_of_range) {
    // from_chars leaves the number alone; strtod gives the IEEE limit (inf or a subnormal) that others give.
    return std::strtod(std::string(text).c_str(), nullptr);
  }
  return parsed.number;
}

std::optional<int64_t> parse_int64(std::string_view text) {
  text = trimmed(text);
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size() || error != std::errc()) return {};
  return number;
}

}  // namespace recserve
