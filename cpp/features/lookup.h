// lookup_feature: the values of a map at the tokens of a key (docs/reference/features.md).
#pragma once

#include <string>

#include "features/combiner.h"
#include "features/kernel.h"

namespace recserve {

/// Inputs: map, key. The map is native, an array of "k:v" or text "k:v\x1dk:v"; pairs are cut at the first
/// colon, those without one are ignored, of a repeated key the last counts. Keys compare as text. Found
/// values come in key order.
///
///   map a:1 b:2 c:x    key [b a]    numeric, sum      3
///                                   discrete          [2 1]
///                                   needKey           [b_2 a_1]
///                      key [z]      (missing)
///
/// A numeric value that is no number counts as not found. Sums are doubles, rounded once. The normalizer sees
/// the combined number as text where the map's values are text, and as a number where they are numbers.
class LookupKernel : public Kernel {
 public:
  /// `combiner`: see combiner_of.
  LookupKernel(char separator, bool discrete, bool need_key, const std::string& combiner);
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;
  std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const override;

 private:
  char separator_;
  bool discrete_;
  bool need_key_;
  Combiner combiner_;
};

}  // namespace recserve
