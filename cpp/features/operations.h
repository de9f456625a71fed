// The operators and functions of the formula language, as one table each (docs/reference/features.md).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace recserve {

/// What an operator or a function does to its operands.
///
/// Operand k lies at `stack + k * stride`, `length` entries long, all operands aligned to one length. The
/// result takes the place of operand 0: `length` entries, or one if the operation `reduces`.
struct Operation {
  using Run = void (*)(double* stack, size_t stride, size_t count, size_t length);

  static constexpr int kAny = -1;

  std::string_view name;
  int arguments;  // kAny: one or more
  Run run;
  bool reduces = false;  // a vector function: one number of whole vectors
  bool random = false;
};

struct BinaryOperator {
  int level;  // a higher level binds tighter
  Operation operation;
};

/// The operator that `text` begins with, the longest that fits ("<=" before "<"), or null.
const BinaryOperator* find_operator(std::string_view text);

/// The function of that name, or null.
const Operation* find_function(std::string_view name);

/// "abs, acos, …": for messages.
std::string function_names();

extern const Operation kNegate;
extern const Operation kPower;
extern const Operation kSelect;  // condition ? yes : no

}  // namespace recserve
