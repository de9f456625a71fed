// The formula language of expr_feature, of `method=expression` and of SeqExpr (feature generation, section
// 8).
//
//   "a * 2 + b"  ──parse──▶  a  2  *  b  +  ──run──▶  number, or one number per entry
//                            flat stack program
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace recserve {

struct Operation;

/// A parsed formula: immutable, used by many threads at once. Division by zero and domain errors give inf or
/// NaN, never an error. Random numbers come from a generator of each thread.
class Expression {
 public:
  /// `variables` are the names that the formula may use; their order is the order of the arguments below.
  /// ConfigError names the formula, the position (from 1) and what was expected or known there. Nesting and
  /// size are bounded.
  static Expression parse(std::string formula, std::vector<std::string> variables);

  /// All variables are scalars. Never allocates.
  double scalar(std::span<const double> variables) const;

  /// Element by element, with vectors of any length; `out` is overwritten. A variable of one entry is a
  /// scalar and stands for every entry of the others; of two operands with other lengths the shorter is
  /// continued with `fill_missing`. A vector function (`dot`, `reduce_sum`, …) makes one number of whole
  /// vectors. Where `elementwise()`, the vectors may as well be whole columns: the results are, bit for bit,
  /// those of `scalar` row by row.
  void evaluate(std::span<const std::span<const double>> variables, double fill_missing,
                std::vector<double>& out) const;

  struct Folded;
  /// Works out, once, every sub-term that reads only variables that are given: what is left reads its result
  /// as one variable more. An empty span is a variable that is not known yet. Evaluated with the terms behind
  /// the variables, the rest gives the bits that the whole would give.
  Folded fold(std::span<const std::span<const double>> known, double fill_missing) const;

  /// The formula reads the variable.
  bool reads(size_t variable) const;

  /// The formula draws random numbers: two evaluations differ.
  bool uses_random() const { return uses_random_; }

  /// One number whatever the lengths of the variables are: `reduce_max(v) + 1`, `3`.
  bool returns_scalar() const { return returns_scalar_; }

  /// Entry i of the result depends on entry i of the variables only: no vector function, no random number.
  bool elementwise() const { return elementwise_; }

  const std::string& formula() const { return formula_; }
  const std::vector<std::string>& variables() const { return variables_; }

 private:
  friend class ExpressionParser;

  /// Pushes a constant (no operation, variable < 0), pushes a variable, or applies `operation` to `count`
  /// operands.
  struct Instruction {
    const Operation* operation = nullptr;
    int32_t variable = -1;
    int32_t count = 0;
    double constant = 0;
  };

  /// The instruction pushes a constant, or a variable that is given.
  static bool is_known(const Instruction& push, std::span<const std::span<const double>> known);
  /// Notes what the program, whose last variables are `terms`, may be used for.
  void describe(std::span<const std::span<const double>> known, std::span<const std::vector<double>> terms);
  void run_blocks(std::span<const std::span<const double>> variables, std::span<double> out) const;
  void run_vectors(std::span<const std::span<const double>> variables, double fill_missing, size_t longest,
                   std::vector<double>& out) const;

  std::string formula_;
  std::vector<std::string> variables_;
  std::vector<Instruction> program_;
  int32_t depth_ = 0;  // operands on the stack at most
  bool uses_random_ = false;
  bool returns_scalar_ = true;
  bool elementwise_ = true;
};

/// What is left of a formula, and the values of its last variables.
struct Expression::Folded {
  Expression formula;
  std::vector<std::vector<double>> terms;
};

/// Kilometres along the great circle between two points in degrees, on a sphere of radius 6371 km: the
/// functions `sphere_dist` and `haversine`, and SeqExpr's `spherical_distance`.
double great_circle_km(double longitude1, double latitude1, double longitude2, double latitude2);

}  // namespace recserve
