// combo_feature: every combination of the tokens of two or more inputs (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: the token lists, in the order of `expression`. The first varies slowest.
///
///   {ua ub} x {ia ib}   [ua_ia ua_ib ub_ia ub_ib]
///   {ua ub} x {}        [] -> default
class ComboKernel : public Kernel {
 public:
  explicit ComboKernel(char separator) : separator_(separator) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;

 private:
  char separator_;
};

}  // namespace recserve
