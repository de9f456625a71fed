#include "features/rules.h"

#include "columns/error.h"
#include "columns/text.h"

namespace recserve {

namespace {

[[noreturn]] void refuse(const Rules& rules, const std::string& what) {
  throw ConfigError("default_value '" + rules.default_value + "' " + what);
}

std::vector<double> numbers_of(const Rules& rules) {
  std::vector<double> numbers;
  for_each_value(rules.default_value, rules.separator, [&](std::string_view piece) {
    auto number = parse_double(piece);
    if (!number) refuse(rules, "is not a number, or several between separators");
    numbers.push_back(*number);
  });
  if (numbers.empty()) refuse(rules, "is not a number, or several between separators");
  if (numbers.size() == 1 && rules.default_count > 1) numbers.resize(rules.default_count, numbers[0]);
  if (rules.width > 0) numbers.resize(rules.width, 0.0);
  if (rules.limit > 0 && numbers.size() > static_cast<size_t>(rules.limit)) numbers.resize(rules.limit);
  return numbers;
}

}  // namespace

void Rules::prepare() {
  if (width > 0) limit = width;
  default_ids.clear();
  default_numbers.clear();
  if (!has_default()) return;
  if (discrete) {
    if (!bucketized()) return;
    auto id = bucketizer.text(default_value);
    if (!id) refuse(*this, "is not a number, which its bucketizer needs; give a number or leave it out");
    default_ids.push_back(*id);
    return;
  }
  default_numbers = numbers_of(*this);
  if (!bucketized()) return;
  for (double number : default_numbers) default_ids.push_back(bucketizer.result(number, value_type));
}

}  // namespace recserve
