#include <algorithm>

#include "features/expression.h"
#include "features/operations.h"

namespace recserve {

namespace {

/// An operand on the stack: its instructions, and whether all that they read is known.
struct Operand {
  size_t begin;
  size_t end;
  bool known;
};

}  // namespace

Expression::Folded Expression::fold(std::span<const std::span<const double>> known,
                                    double fill_missing) const {
  // Where a known term begins that is part of no larger one → where it ends. A lone push stays what it is.
  std::vector<size_t> end_of(program_.size(), 0);
  const auto mark = [&](const Operand& operand) {
    if (operand.known && operand.end - operand.begin > 1) end_of[operand.begin] = operand.end;
  };
  std::vector<Operand> operands;
  for (size_t i = 0; i < program_.size(); ++i) {
    const Instruction& step = program_[i];
    Operand result{i, i + 1, step.operation == nullptr ? is_known(step, known) : !step.operation->random};
    const auto first = operands.end() - step.count;
    if (step.count > 0) result.begin = first->begin;
    for (auto operand = first; operand != operands.end(); ++operand) result.known &= operand->known;
    if (!result.known) std::for_each(first, operands.end(), mark);
    operands.erase(first, operands.end());
    operands.push_back(result);
  }
  mark(operands[0]);

  Folded folded{*this, {}};
  std::vector<Instruction>& left = folded.formula.program_;
  left.clear();
  for (size_t i = 0; i < program_.size();) {
    if (end_of[i] == 0) {
      left.push_back(program_[i++]);
      continue;
    }
    Expression term = *this;
    term.program_.assign(program_.begin() + static_cast<ptrdiff_t>(i),
                         program_.begin() + static_cast<ptrdiff_t>(end_of[i]));
    left.push_back({.variable = static_cast<int32_t>(variables_.size() + folded.terms.size())});
    term.evaluate(known, fill_missing, folded.terms.emplace_back());
    i = end_of[i];
  }
  folded.formula.variables_.resize(variables_.size() + folded.terms.size());
  folded.formula.describe(known, folded.terms);
  return folded;
}

bool Expression::is_known(const Instruction& push, std::span<const std::span<const double>> known) {
  return push.variable < 0 || !known[static_cast<size_t>(push.variable)].empty();
}

void Expression::describe(std::span<const std::span<const double>> known,
                          std::span<const std::vector<double>> terms) {
  elementwise_ = true;
  std::vector<bool> may_be_vector;
  for (const Instruction& step : program_) {
    const auto variable = static_cast<size_t>(step.variable);
    if (step.operation != nullptr) {
      elementwise_ &= !step.operation->reduces && !step.operation->random;
      const auto first = may_be_vector.end() - step.count;
      const bool any = std::find(first, may_be_vector.end(), true) != may_be_vector.end();
      may_be_vector.erase(first, may_be_vector.end());
      may_be_vector.push_back(any && !step.operation->reduces);
    } else if (step.variable < 0) {
      may_be_vector.push_back(false);
    } else {
      may_be_vector.push_back(
          (variable < known.size() ? known[variable] : terms[variable - known.size()]).size() != 1);
    }
  }
  returns_scalar_ = !may_be_vector[0];
}

bool Expression::reads(size_t variable) const {
  return std::any_of(program_.begin(), program_.end(), [variable](const Instruction& step) {
    return step.operation == nullptr && step.variable == static_cast<int32_t>(variable);
  });
}

}  // namespace recserve
