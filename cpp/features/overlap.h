// overlap_feature: how much of a query is in a title (docs/reference/features.md).
#pragma once

#include <string>

#include "features/kernel.h"

namespace recserve {

/// Inputs: query, title; lists of tokens. One number, for the query [b c] and the title [a b d c b]:
///
///   query_common_ratio    1      share of the query's tokens that are in the title, each as often as it
///   stands title_common_ratio    0.4    distinct common tokens / tokens of the title is_contain            0
///   the query stands in the title, whole and in order is_equal              0      it is the title index_of
///   -1     where it stands first, or -1 proximity_min_cover   2      tokens in the shortest part of the
///   title with all of the query's; 0: none proximity_min_dist    1      of every two distinct tokens of the
///   query that are in the title, the smallest
///            _max_dist    1      distance; then the smallest, the largest, the mean of these. Without two
///            such _avg_dist    1      tokens: tokens of the title + 1, or 0 if the query is one token that
///            is there
///
/// Without tokens on either side the row is missing. A side that is constant is read and hashed once.
class OverlapKernel : public Kernel {
 public:
  enum class Method {
    QueryCommonRatio,
    TitleCommonRatio,
    IsContain,
    IsEqual,
    IndexOf,
    ProximityMinCover,
    ProximityMinDist,
    ProximityMaxDist,
    ProximityAvgDist
  };

  /// `method`: as above; ConfigError for any other.
  OverlapKernel(char separator, const std::string& method);
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  char separator_;
  Method method_;
};

}  // namespace recserve
