// combine_feature: the numbers of one input, combined to one (docs/reference/features.md).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "features/combiner.h"
#include "features/kernel.h"
#include "features/text_index.h"

namespace recserve {

/// Inputs: the value. Its tokens are numbers, or have numbers in `value_map`.
///
///   [1 2 4]                          sum 7   mean 2.333   max 4   count 3
///   [tag1 tag2]    {tag1:1 tag2:2}   sum 3
///   [tag1 other]                     sum 1   (what the map lacks is left out)
///   [other]                          (missing)
///
/// Text that is no number, without a map, makes its cell missing. Sums are doubles, rounded once. The
/// normalizer sees numbers of text as text, those of numbers and of the map as numbers.
class CombineKernel : public Kernel {
 public:
  using ValueMap = std::vector<std::pair<std::string, double>>;

  /// `combiner`: see combiner_of; None emits all numbers.
  CombineKernel(char separator, std::optional<ValueMap> value_map, const std::string& combiner);
  CombineKernel(const CombineKernel&) = delete;  // mapped_ has views into value_map_
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  /// False where a cell has text that is no number.
  bool read(const Cells& cells, int64_t row, Counts& counts, std::vector<double>& found) const;

  char separator_;
  std::optional<ValueMap> value_map_;
  TextIndex mapped_;  // number i is that of value_map_[i]
  Combiner combiner_;
};

}  // namespace recserve
