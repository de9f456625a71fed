// id_feature: the tokens of one input (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: the value.
///
///   "a\x1d" "b"           [a b]
///   7                     [7]        with num_buckets the number itself, else its decimal text
///   "a:0.5\x1d" "b"       [a b] weights 0.5 1      (weighted: cut at the last colon)
///   {a: 0.5}              [a]   weights 0.5        (weighted; else the keys alone)
class IdKernel : public Kernel {
 public:
  IdKernel(char separator, bool weighted) : separator_(separator), weighted_(weighted) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;

 private:
  void run_weighted(const Cells& input, int64_t row, Sink& sink) const;
  void run_map(const Cells& input, int64_t row, Sink& sink) const;

  char separator_;
  bool weighted_;
};

}  // namespace recserve
