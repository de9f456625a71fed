// raw_feature: the number, or the vector of numbers, of one input (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: the value. A row has the width D of its rules: the first D numbers, padded by 0.0 (which no
/// normalizer sees).
///
///   D = 1    3.5 -> 3.5    "3.5" -> 3.5    [3.5 4] -> 3.5
///   D = 3    "1,2,3" -> 1 2 3 (separator ,)    [1 2] -> 1 2 0
///
/// Strings inside an array are not cut, unless another feature produced them (a lookup's "0.1,0.2"). Text
/// that is no number makes the row missing, if it is among the first D.
class RawKernel : public Kernel {
 public:
  /// `null_is_zero`: a null of a numeric scalar column is 0.0, bucketized without a normalizer. The type of
  /// the column decides, not its values.
  RawKernel(char separator, bool null_is_zero) : separator_(separator), null_is_zero_(null_is_zero) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;

 private:
  void run_text(const Cells& input, int64_t row, Sink& sink) const;

  char separator_;
  bool null_is_zero_;
};

}  // namespace recserve
