// bool_mask_feature: the values whose mask is true (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: the values, their mask: true and false in any case, or numbers, of which 0 is false.
///
///   values [a b c d]   mask [true 0 1]         [a c]         (what is beyond the shorter one is left out)
///                      mask []                 (missing)
///   sequence  a;b;;c   mask  1;0;1;1           a;default;c   (elements, of any number of values each)
///                      mask  0;0;0;0           default
///
/// A mask that is neither makes its cell missing; an element without mask is left out, one with several is a
/// RequestError.
class BoolMaskKernel : public Kernel {
 public:
  BoolMaskKernel(char separator, bool sequence) : separator_(separator), sequence_(sequence) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<std::vector<bool>> kept(std::span<const Cells> inputs, int64_t elements,
                                        Counts& counts) const override;

 private:
  void read_mask(const Cells& cells, int64_t row, Counts& counts, std::vector<bool>& mask) const;

  char separator_;
  bool sequence_;  // rows are elements: of one that is kept all values stay
};

}  // namespace recserve
