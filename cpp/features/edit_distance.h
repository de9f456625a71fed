// The operator EditDistance of custom_feature (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: two texts. How many characters (bytes, unless `utf8`) have to be inserted, deleted or replaced to
/// make the one of the other (Levenshtein).
///
///   裙子   连衣裙    3       (bytes: 6)
///   abc    (none)    (missing)
///
/// Text is not cut at separators; the entries of a list are one text, \x1d between them; numbers are their
/// text. A byte that is not UTF-8 is a character of its own. A text that is constant is prepared once. Cost:
/// length of the one * length of the other / 64.
class EditDistanceKernel : public Kernel {
 public:
  explicit EditDistanceKernel(bool utf8) : utf8_(utf8) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  bool utf8_;
};

}  // namespace recserve
