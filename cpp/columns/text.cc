#include "columns/text.h"

#include <cmath>
#include <limits>

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
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument) return {};
  if (error == std::errc::result_out_of_range) {
    // from_chars leaves the number alone; strtod gives the IEEE limit (inf or a subnormal) that others give.
    return std::strtod(std::string(text).c_str(), nullptr);
  }
  return number;
}

std::optional<int64_t> parse_int64(std::string_view text) {
  text = trimmed(text);
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size() || error != std::errc()) return {};
  return number;
}

}  // namespace recserve
