// combo_feature: every combination of the tokens of two or more inputs (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Lists multiply: a few short ones of a request would fill the memory. RequestError beyond 2^16 combinations
/// of a row, and 2^26 of an evaluation.
class CombinationLimit {
 public:
  /// One row; `limit` combinations are made of it at most, 0: all.
  void add(std::span<const size_t> sizes, size_t limit);

 private:
  size_t made_ = 0;
};

/// Inputs: the token lists, in the order of `expression`. The first varies slowest.
///
///   {ua ub} x {ia ib}   [ua_ia ua_ib ub_ia ub_ib]
///   {ua ub} x {}        [] -> default
///
/// How many there may be: CombinationLimit.
class ComboKernel : public Kernel {
 public:
  explicit ComboKernel(char separator) : separator_(separator) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;

 private:
  char separator_;
};

}  // namespace recserve
