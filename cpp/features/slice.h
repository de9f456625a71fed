// slice_feature: a part of the tokens of one input (docs/reference/features.md).
#pragma once

#include <optional>

#include "features/kernel.h"

namespace recserve {

/// Inputs: the value. Places are counted as Python counts them: from 0, negative ones from the end.
///
///   [a b c d e]   start 1 end 4           [b c d]
///                 start -2                [d e]
///                 end -1 step 2           [a c]
///                 start 5                 (missing)
class SliceKernel : public Kernel {
 public:
  /// `end`: nothing is the end of the list; 1 <= step.
  SliceKernel(char separator, int64_t start, std::optional<int64_t> end, int64_t step)
      : separator_(separator), start_(start), end_(end), step_(step) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  char separator_;
  int64_t start_;
  std::optional<int64_t> end_;
  int64_t step_;
};

}  // namespace recserve
