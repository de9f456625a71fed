// expr_feature: a formula over numbers and vectors (docs/reference/features.md).
#pragma once

#include "features/expression.h"
#include "features/kernel.h"

namespace recserve {

/// Inputs: the variables, in the order that the formula was parsed with.
///
///   a + b     a = 1  b = 2        3
///             a = [1 2]  b = 10   [11 12]    (width 1 and no bucketizer: 11)
///             a missing           (missing)
///
/// Numeric columns, of whatever type, give float32 values, text gives doubles; the formula is double. Text
/// that is no number makes its cell missing.
class ExprKernel : public Kernel {
 public:
  ExprKernel(Expression formula, char separator, double fill_missing)
      : formula_(std::move(formula)), separator_(separator), fill_missing_(fill_missing) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;
  bool random() const override { return formula_.uses_random(); }

 private:
  /// The numbers of a cell; none when it is missing.
  void read(const Cells& cells, int64_t row, Counts& counts, std::vector<double>& numbers) const;

  Expression formula_;
  char separator_;
  double fill_missing_;
};

}  // namespace recserve
