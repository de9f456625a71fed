#include "features/expression.h"

#include <algorithm>
#include <array>
#include <numbers>
#include <stdexcept>

#include "columns/error.h"
#include "columns/text.h"
#include "features/operations.h"

namespace recserve {

namespace {

constexpr size_t kMaxFormulaBytes = 1 << 16;
constexpr int kMaxNesting = 256;        // the parser recurses
constexpr size_t kMaxOperands = 512;    // the stack of `scalar`
constexpr size_t kBlockDoubles = 4096;  // the stack of `run_blocks`, 32 KiB

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

}  // namespace

/// Reads a formula from left to right and writes the program as it goes. One function per level of binding:
///
///   choice   a ? b : c         binary   || && | & comparisons + - * /         unary   -a +a
///   power    a ^ b             primary  number, name, call, (choice)
class ExpressionParser {
 public:
  explicit ExpressionParser(Expression& expression) : expression_(expression), text_(expression.formula_) {}

  void parse() {
    if (text_.size() > kMaxFormulaBytes) {
      fail("at most " + std::to_string(kMaxFormulaBytes) + " bytes, not " + std::to_string(text_.size()));
    }
    for (size_t i = 0; i < names().size(); ++i) {
      if (std::find(names().begin(), names().begin() + i, names()[i]) != names().begin() + i) {
        fail("one variable of each name, '" + names()[i] + "' is given twice");
      }
    }
    skip_blanks();
    choice();
    if (at_ < text_.size()) fail("an operator, found " + found());
    expression_.returns_scalar_ = !may_be_vector_.back();
  }

 private:
  const std::vector<std::string>& names() const { return expression_.variables_; }

  /// Right associative; a chain `a ? b : c ? d : e` needs no recursion.
  void choice() {
    Nesting nesting(*this);
    size_t pending = 0;
    for (binary(1); take("?"); binary(1), ++pending) {
      choice();
      if (!take(":")) fail("':', found " + found());
    }
    for (; pending > 0; --pending) apply(kSelect, 3);
  }

  void binary(int least_level) {
    unary();
    for (;;) {
      const BinaryOperator* op = find_operator(text_.substr(at_));
      if (op == nullptr || op->level < least_level) return;
      advance(op->operation.name.size());
      binary(op->level + 1);
      apply(op->operation, 2);
    }
  }

  void unary() {
    Nesting nesting(*this);
    if (take("-")) {
      unary();
      apply(kNegate, 1);
    } else if (take("+")) {
      unary();
    } else {
      power();
    }
  }

  /// Right associative, and tighter than a sign before it: -2^2 is -4, 2^-1 is 0.5.
  void power() {
    primary();
    if (take("^")) {
      unary();
      apply(kPower, 2);
    }
  }

  void primary() {
    char next = at_ < text_.size() ? text_[at_] : '\0';
    if (take("(")) {
      choice();
      if (!take(")")) fail("')', found " + found());
    } else if (is_digit(next) || next == '.') {
      number();
    } else if (begins_name(next)) {
      name();
    } else {
      fail("a number, a name or '(', found " + found());
    }
  }

  void number() {
    size_t end = at_;
    auto digits = [&] {
      size_t start = end;
      while (end < text_.size() && is_digit(text_[end])) ++end;
      return end > start;
    };
    bool whole = digits();
    bool fraction = end < text_.size() && text_[end] == '.' && (++end, digits());
    if (!whole && !fraction) fail("a digit after '.'");
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t mantissa = end++;
      if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
      if (!digits()) end = mantissa;
    }
    push({.constant = *parse_double(text_.substr(at_, end - at_))}, false);
    advance(end - at_);
  }

  void name() {
    const size_t start = at_;
    size_t end = at_;
    while (end < text_.size() && (begins_name(text_[end]) || is_digit(text_[end]))) ++end;
    std::string_view name = text_.substr(start, end - start);
    advance(end - start);
    if (take("(")) return call(name, start);

    auto variable = std::find(names().begin(), names().end(), name);
    if (variable != names().end()) {
      push({.variable = static_cast<int32_t>(variable - names().begin())}, true);
    } else if (name == "_pi") {
      push({.constant = std::numbers::pi}, false);
    } else if (name == "_e") {
      push({.constant = std::numbers::e}, false);
    } else if (find_function(name) != nullptr) {
      fail("'(' after the function '" + std::string(name) + "'");
    } else {
      at_ = start;
      fail("a variable, found '" + std::string(name) + "'; known: " + joined(names()));
    }
  }

  void call(std::string_view name, size_t start) {
    const Operation* function = find_function(name);
    if (function == nullptr) {
      at_ = start;
      fail("a function, found '" + std::string(name) + "'; known: " + function_names());
    }
    int count = 0;
    if (!take(")")) {
      do {
        choice();
        ++count;
      } while (take(","));
      if (!take(")")) fail("',' or ')', found " + found());
    }
    if (function->arguments == Operation::kAny ? count < 1 : count != function->arguments) {
      at_ = start;
      std::string needed =
          function->arguments == Operation::kAny ? "at least 1" : std::to_string(function->arguments);
      fail(needed + " argument(s) of '" + std::string(name) + "', found " + std::to_string(count));
    }
    apply(*function, count);
  }

  // --- writing the program ---------------------------------------------------------------------------------

  void push(Expression::Instruction instruction, bool may_be_vector) {
    expression_.program_.push_back(instruction);
    may_be_vector_.push_back(may_be_vector);
    if (may_be_vector_.size() > kMaxOperands) {
      fail("at most " + std::to_string(kMaxOperands) + " operands waiting for one another");
    }
    expression_.depth_ = std::max(expression_.depth_, static_cast<int32_t>(may_be_vector_.size()));
  }

  void apply(const Operation& operation, int count) {
    Expression::Instruction instruction{.operation = &operation, .count = count};
    expression_.uses_random_ |= operation.random;
    expression_.elementwise_ &= !operation.reduces && !operation.random;
    if (count == 0) return push(instruction, false);
    expression_.program_.push_back(instruction);
    auto first = may_be_vector_.end() - count;
    *first = !operation.reduces && std::find(first, may_be_vector_.end(), true) != may_be_vector_.end();
    may_be_vector_.erase(first + 1, may_be_vector_.end());
  }

  // --- reading the text ------------------------------------------------------------------------------------

  /// Counts how deep the parser recurses while it lives.
  struct Nesting {
    explicit Nesting(ExpressionParser& parser) : parser(parser) {
      if (++parser.nesting_ > 2 * kMaxNesting) {
        parser.fail("at most " + std::to_string(kMaxNesting) + " levels of nesting");
      }
    }
    ~Nesting() { --parser.nesting_; }
    ExpressionParser& parser;
  };

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }

  void advance(size_t bytes) {
    at_ += bytes;
    skip_blanks();
  }

  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    advance(token.size());
    return true;
  }

  std::string found() const { return at_ < text_.size() ? std::string{'\'', text_[at_], '\''} : "the end"; }

  [[noreturn]] void fail(const std::string& expected) const {
    constexpr size_t kShown = 60;  // bytes either side of the position
    size_t from = at_ > kShown ? at_ - kShown : 0;
    std::string shown(text_.substr(from, 2 * kShown));
    if (from > 0) shown = "…" + shown;
    if (from + 2 * kShown < text_.size()) shown += "…";
    throw ConfigError("expression '" + shown + "', position " + std::to_string(at_ + 1) + ": expected " +
                      expected);
  }

  Expression& expression_;
  std::string_view text_;
  size_t at_ = 0;
  int nesting_ = 0;
  std::vector<bool> may_be_vector_;  // one entry per operand on the stack
};

Expression Expression::parse(std::string formula, std::vector<std::string> variables) {
  Expression expression;
  expression.formula_ = std::move(formula);
  expression.variables_ = std::move(variables);
  ExpressionParser(expression).parse();
  return expression;
}

double Expression::scalar(std::span<const double> variables) const {
  if (variables.size() != variables_.size()) throw std::invalid_argument("one value for each variable");
  std::array<double, kMaxOperands> stack;
  double* top = stack.data();  // the next free place
  for (const Instruction& step : program_) {
    if (step.operation != nullptr) {
      top -= step.count;
      step.operation->run(top, 1, static_cast<size_t>(step.count), 1);
      ++top;
    } else {
      *top++ = step.variable >= 0 ? variables[static_cast<size_t>(step.variable)] : step.constant;
    }
  }
  return stack[0];
}

void Expression::evaluate(std::span<const std::span<const double>> variables, double fill_missing,
                          std::vector<double>& out) const {
  if (variables.size() != variables_.size()) throw std::invalid_argument("one vector for each variable");
  size_t longest = 1;
  for (const Instruction& step : program_) {
    if (step.variable >= 0) longest = std::max(longest, variables[static_cast<size_t>(step.variable)].size());
  }
  bool aligned = elementwise_ && !returns_scalar_;
  for (const Instruction& step : program_) {
    if (step.variable < 0) continue;
    size_t length = variables[static_cast<size_t>(step.variable)].size();
    aligned = aligned && (length == 1 || length == longest);
  }
  if (!aligned) return run_vectors(variables, fill_missing, longest, out);
  out.resize(longest);
  run_blocks(variables, out);
}

/// Element-wise, every variable one entry or as many as `out`: a block of entries at a time, on the stack.
void Expression::run_blocks(std::span<const std::span<const double>> variables, std::span<double> out) const {
  std::array<double, kBlockDoubles> stack;
  const size_t stride = kBlockDoubles / static_cast<size_t>(depth_);
  for (size_t start = 0; start < out.size(); start += stride) {
    const size_t length = std::min(stride, out.size() - start);
    double* top = stack.data();
    for (const Instruction& step : program_) {
      if (step.operation != nullptr) {
        top -= static_cast<size_t>(step.count) * stride;
        step.operation->run(top, stride, static_cast<size_t>(step.count), length);
      } else if (step.variable < 0) {
        std::fill_n(top, length, step.constant);
      } else if (auto values = variables[static_cast<size_t>(step.variable)]; values.size() == 1) {
        std::fill_n(top, length, values[0]);
      } else {
        std::copy_n(values.data() + start, length, top);
      }
      top += stride;
    }
    std::copy_n(stack.data(), length, out.data() + start);
  }
}

/// Vectors of any lengths, each operand in `longest` places of one buffer.
void Expression::run_vectors(std::span<const std::span<const double>> variables, double fill_missing,
                             size_t longest, std::vector<double>& out) const {
  std::vector<double> stack(static_cast<size_t>(depth_) * longest);
  std::array<size_t, kMaxOperands> lengths;
  size_t operands = 0;
  for (const Instruction& step : program_) {
    const size_t count = static_cast<size_t>(step.count);
    if (step.operation != nullptr) {
      operands -= count;
      double* first = stack.data() + operands * longest;
      size_t length = count == 0 ? 1 : *std::max_element(&lengths[operands], &lengths[operands] + count);
      for (size_t k = 0; k < count; ++k) {
        // One entry stands for all; what is shorter otherwise is continued with fill_missing.
        double* operand = first + k * longest;
        size_t own = lengths[operands + k];
        std::fill(operand + own, operand + length, own == 1 ? operand[0] : fill_missing);
      }
      step.operation->run(first, longest, count, length);
      lengths[operands++] = step.operation->reduces ? 1 : length;
    } else if (step.variable < 0) {
      stack[operands * longest] = step.constant;
      lengths[operands++] = 1;
    } else {
      auto values = variables[static_cast<size_t>(step.variable)];
      std::copy(values.begin(), values.end(), stack.begin() + static_cast<ptrdiff_t>(operands * longest));
      lengths[operands++] = values.size();
    }
  }
  out.assign(stack.begin(), stack.begin() + static_cast<ptrdiff_t>(lengths[0]));
}

}  // namespace recserve
