// The tokens of a column that was generated without a bucketizer (docs/how-to.md, "Offline").
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: the value, tokens that a run without bucketizer wrote.
///
///   ["a" "b\x1d" "c"]     [a] [b\x1d c]     an array's entries are tokens already, whatever they hold
///   "a\x1d" "b"           [a] [b]           text is cut only where a row may have several tokens (`cut`)
///   7                     [7]
class BucketizeOnlyKernel : public Kernel {
 public:
  BucketizeOnlyKernel(char separator, bool cut) : separator_(separator), cut_(cut) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  char separator_;
  bool cut_;
};

}  // namespace recserve
